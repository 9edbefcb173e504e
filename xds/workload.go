package xds

import (
	"errors"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Workload is an X.509-SVID and the bundles that others are verified with. It
// travels inside the secrets: a new one changes nothing else, so that no listener
// is replaced and no connection ends.
type Workload struct {
	Chain, Key []byte            // PEM
	Bundles    map[string][]byte // PEM of the authorities of each trust domain
}

func (t *ListenerTLS) validate(w *Workload) error {
	switch {
	case t == nil:
		return nil
	case t.SPIFFE && (w == nil || len(w.Bundles) == 0):
		return errors.New("SPIFFE needs the identity of a workload, with bundles")
	case t.SPIFFE && t.ClientCAFile != "":
		return errors.New("clients show a certificate of an authority or an SVID, not either")
	case t.SPIFFE && t.CertFile == "" && t.KeyFile == "":
		return nil
	case t.CertFile == "" || t.KeyFile == "":
		return errors.New("TLS needs a certificate and its key")
	}
	return nil
}

func embedded(pem []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem}}
}

func (w *Workload) svid() *tlsv3.Secret {
	return &tlsv3.Secret{
		Name: "spiffe:svid",
		Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: embedded(w.Chain), PrivateKey: embedded(w.Key)}},
	}
}

// bundles verifies a peer with the bundle of the trust domain that its id is of,
// so that no trust domain can speak for another.
func (b *builder) bundles() *tlsv3.Secret {
	c := &tlsv3.SPIFFECertValidatorConfig{}
	for _, name := range slices.Sorted(maps.Keys(b.Workload.Bundles)) {
		c.TrustDomains = append(c.TrustDomains, &tlsv3.SPIFFECertValidatorConfig_TrustDomain{Name: name, TrustBundle: embedded(b.Workload.Bundles[name])})
	}
	return &tlsv3.Secret{
		Name: "spiffe:bundles",
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			CustomValidatorConfig: b.extension("envoy.tls.cert_validator.spiffe", c),
		}},
	}
}
