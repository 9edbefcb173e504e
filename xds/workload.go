package xds

import (
	"errors"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/sallyport/sallyport/internal/registry"
)

// Workload is an X.509-SVID and the bundles that others are verified with. It
// travels inside the secrets: a new one changes nothing else, so that no listener
// is replaced and no connection ends.
type Workload struct {
	TrustDomain string            // of the SVID
	Chain, Key  []byte            // PEM
	Bundles     map[string][]byte // PEM of the authorities of each trust domain that is known, its own among them
	Callers     []string          // trust domains whose workloads are believed as callers
}

func (t *ListenerTLS) validate(w *Workload) error {
	switch {
	case t == nil:
		return nil
	case t.SPIFFE && (w == nil || !slices.ContainsFunc(w.Callers, func(d string) bool { return w.Bundles[d] != nil })):
		return errors.New("SPIFFE needs the identity of a workload, with a bundle of callers")
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

// bundles verifies a caller with the bundle of the trust domain that its id is
// of, so that no trust domain can speak for another.
func (b *builder) bundles() *tlsv3.Secret { return b.bundlesOf("spiffe:bundles", b.Workload.Callers) }

// bundlesOf holds the bundles of domains, as far as there are any. Envoy
// takes no empty list, so whoever asks for it makes sure that there is one.
func (b *builder) bundlesOf(name string, domains []string) *tlsv3.Secret {
	c := &tlsv3.SPIFFECertValidatorConfig{}
	for _, domain := range slices.Compact(slices.Sorted(slices.Values(domains))) {
		if bundle, ok := b.Workload.Bundles[domain]; ok {
			c.TrustDomains = append(c.TrustDomains, &tlsv3.SPIFFECertValidatorConfig_TrustDomain{Name: domain, TrustBundle: embedded(bundle)})
		}
	}
	return &tlsv3.Secret{
		Name: name,
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			CustomValidatorConfig: b.extension("envoy.tls.cert_validator.spiffe", c),
		}},
	}
}

// expect notes the trust domains that servers are workloads of.
func (b *builder) expect(view *registry.View) {
	for _, s := range view.Servers() {
		for _, v := range s.Versions {
			if d := v.TLS.SPIFFE.TrustDomain; d != "" {
				b.servers = append(b.servers, d)
			}
		}
	}
}

// workloadTLS shows a server the gateway's SVID, and takes nobody but the
// workload that the registration names. Its bundles are those of servers, with
// the gateway's own trust domain: they name one domain at least, and a domain
// without a bundle has no workload that could be verified.
func (b *builder) workloadTLS(v *registry.Version) *corev3.TransportSocket {
	id := &envoymatcherv3.StringMatcher{MatchPattern: &envoymatcherv3.StringMatcher_Exact{Exact: v.TLS.SPIFFE.ID}}
	if v.TLS.SPIFFE.ID == "" {
		id.MatchPattern = &envoymatcherv3.StringMatcher_Prefix{Prefix: "spiffe://" + v.TLS.SPIFFE.TrustDomain + "/"}
	}
	domains := append([]string{b.Workload.TrustDomain}, b.servers...)
	ctx := &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:                      &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{b.secrets.add(b.Workload.svid())},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext: &tlsv3.CertificateValidationContext{
						MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: id}},
					},
					ValidationContextSdsSecretConfig: b.secrets.add(b.bundlesOf("spiffe:servers", domains)),
				},
			},
		},
		// A resumed session is not verified again.
		MaxSessionKeys: number(0),
	}
	switch first := v.Endpoints[0].Host; {
	case v.TLS.SNI != "":
		ctx.Sni = v.TLS.SNI
	case !hasNames(v):
	case len(v.Endpoints) == 1:
		ctx.Sni = first
	default:
		ctx.AutoHostSni = true
	}
	return b.tlsSocket(ctx)
}
