package xds

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// handshakeTimeout is how long a client may take to agree on TLS.
const handshakeTimeout = 5 * time.Second

// ListenerTLS says how a listener and its clients prove who they are. The files
// are on Envoy's machine, and Envoy watches them.
type ListenerTLS struct {
	CertFile, KeyFile string // PEM
	ClientCAFile      string // PEM; "" asks clients for no certificate
	// SPIFFE has clients show an SVID that the bundles of Settings.Workload
	// verify, and shows its own where there is no CertFile.
	SPIFFE bool
}

// asksClients reports whether clients must show a certificate. The nil
// ListenerTLS is plain HTTP.
func (t *ListenerTLS) asksClients() bool { return t != nil && (t.ClientCAFile != "" || t.SPIFFE) }

// downstreamTLS never takes a client certificate on trust: one that is asked
// for must be shown, and must verify, or there is no connection. Only what was
// verified is told to ext_proc.
func (b *builder) downstreamTLS(t *ListenerTLS) *corev3.TransportSocket {
	var own *tlsv3.Secret
	if t.CertFile != "" {
		own = pairSecret(t.CertFile, t.KeyFile)
	} else {
		own = b.Workload.svid()
	}
	ctx := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		AlpnProtocols:                  []string{"h2", "http/1.1"},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{b.secrets.add(own)},
	}}
	if t.asksClients() {
		var clients *tlsv3.Secret
		if t.SPIFFE {
			clients = b.bundles()
		} else {
			clients = authoritySecret(t.ClientCAFile)
		}
		ctx.RequireClientCertificate = yes()
		ctx.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: b.secrets.add(clients),
		}
		// A resumed session is not verified again, so that a certificate that
		// expired or whose authority left would go on working.
		ctx.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true}
		ctx.DisableStatefulSessionResumption = true
	}
	return b.tlsSocket(ctx)
}
