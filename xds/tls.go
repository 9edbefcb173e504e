package xds

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/internal/registry"
)

// secrets are the PEM files that clusters refer to, each once. They travel as
// secrets of their own, because Envoy then watches the files and takes a
// rotated certificate without a new configuration.
type secrets struct {
	list []*tlsv3.Secret
	seen map[string]bool
}

func newSecrets() *secrets { return &secrets{seen: map[string]bool{}} }

func (s *secrets) add(secret *tlsv3.Secret) *tlsv3.SdsSecretConfig {
	if !s.seen[secret.GetName()] {
		s.seen[secret.GetName()] = true
		s.list = append(s.list, secret)
	}
	return &tlsv3.SdsSecretConfig{Name: secret.GetName(), SdsConfig: fromADS()}
}

func fromADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

func authoritySecret(path string) *tlsv3.Secret {
	return &tlsv3.Secret{
		Name: "ca:" + path,
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: file(path)}},
	}
}

func pairSecret(cert, key string) *tlsv3.Secret {
	return &tlsv3.Secret{
		Name: "cert:" + cert + ":" + key,
		Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: file(cert), PrivateKey: file(key)}},
	}
}

// upstreamTLS verifies the server's chain and its name, always.
func (b *builder) upstreamTLS(v *registry.Version) *corev3.TransportSocket {
	if v.TLS.SPIFFE.TrustDomain != "" {
		return b.workloadTLS(v)
	}
	ca := v.TLS.CAFile
	if ca == "" {
		ca = b.SystemCAFile
	}
	validation := &tlsv3.CertificateValidationContext{}
	ctx := &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext:         validation,
					ValidationContextSdsSecretConfig: b.secrets.add(authoritySecret(ca)),
				},
			},
		},
	}
	b.expectName(v, ctx, validation)
	if v.TLS.CertFile != "" {
		ctx.CommonTlsContext.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{b.secrets.add(pairSecret(v.TLS.CertFile, v.TLS.KeyFile))}
	}
	return b.tlsSocket(ctx)
}

func (p *packer) tlsSocket(ctx proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: p.pack(ctx)},
	}
}

// expectName sets what the server is asked for (SNI) and which name its
// certificate must carry: the registration's name, or the endpoint's own host.
// An IP address cannot be asked for but is looked for in the certificate.
func (b *builder) expectName(v *registry.Version, ctx *tlsv3.UpstreamTlsContext, validation *tlsv3.CertificateValidationContext) {
	if v.TLS.SNI != "" {
		ctx.Sni = v.TLS.SNI
		validation.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{sanOf(v.TLS.SNI)}
		return
	}
	seen := map[string]bool{}
	var ips bool
	for _, e := range v.Endpoints {
		if _, err := netip.ParseAddr(e.Host); err == nil {
			ips = true
		}
		if !seen[e.Host] {
			seen[e.Host] = true
			validation.MatchTypedSubjectAltNames = append(validation.MatchTypedSubjectAltNames, sanOf(e.Host))
		}
	}
	switch {
	case ips: // any of the names; endpoints of one version trust one another
	case len(seen) == 1:
		ctx.Sni = v.Endpoints[0].Host
	default: // each endpoint by its own name
		validation.MatchTypedSubjectAltNames = nil
		ctx.AutoHostSni = true
		ctx.AutoSniSanValidation = true
	}
}

func sanOf(host string) *tlsv3.SubjectAltNameMatcher {
	t := tlsv3.SubjectAltNameMatcher_DNS
	if _, err := netip.ParseAddr(host); err == nil {
		t = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	}
	return &tlsv3.SubjectAltNameMatcher{SanType: t, Matcher: &envoymatcherv3.StringMatcher{
		MatchPattern: &envoymatcherv3.StringMatcher_Exact{Exact: host},
	}}
}
