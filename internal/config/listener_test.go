package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

// Tokens never travel in the clear, and certificates are verified where the
// gateway can see it, or the configuration is refused.
func TestListenersFitHowCallersProveWhoTheyAre(t *testing.T) {
	t.Chdir(t.TempDir())
	certificates(t, "certs")
	o := options()
	o.Available = append(o.Available, "gateway.authentication.method=JWT", "gateway.authentication.method=mTLS", "gateway.authentication.method=mTLS + JWT")
	const server, mutual = "tls: {certificate: certs/client.pem, key: certs/client.key}", "tls: {certificate: certs/client.pem, key: certs/client.key, client_ca: certs/ca.pem}"
	for _, tt := range []struct {
		name, method, listener string
		want                   string // empty: accepted
	}{
		{"tokens over TLS", "JWT", "address: 0.0.0.0:8443, " + server, ""},
		{"tokens over TLS that knows its clients", "JWT", "address: 0.0.0.0:8443, " + mutual, ""},
		{"tokens on loopback", "JWT", "address: 127.0.0.1:8080", ""},
		{"tokens behind a proxy that is said to speak TLS", "JWT", "address: 0.0.0.0:8080, behind_tls_proxy: true", ""},
		{"tokens in the clear", "JWT", "address: 0.0.0.0:8080", "5:15: listeners[0].address: 0.0.0.0:8080 can be reached from other machines, and tokens would travel in the clear; give the listener tls, or write behind_tls_proxy: true if only such a proxy reaches it"},
		{"tokens in the clear, said so", "JWT", "address: 0.0.0.0:8080, behind_tls_proxy: false", "can be reached from other machines, and tokens would travel in the clear"},
		{"nobody knows who is calling", "none", "address: 0.0.0.0:8443, " + mutual, "0.0.0.0:8443 can be reached from other machines"},
		{"TLS without identity, on loopback", "none", "address: 127.0.0.1:8443, " + server, ""},
		{"certificates", "mTLS", "address: 0.0.0.0:8443, " + mutual, ""},
		{"certificates and tokens", "mTLS + JWT", "address: 0.0.0.0:8443, " + mutual, ""},
		{"certificates that nobody asks for", "mTLS", "address: 127.0.0.1:8443, " + server, "listeners[0].tls.client_ca: or spiffe is required: gateway.authentication.method mTLS demands client certificates"},
		{"certificates without TLS", "mTLS + JWT", "address: 127.0.0.1:8443", "listeners[0].tls.client_ca: or spiffe is required"},
		{"certificates that a proxy saw", "mTLS", "address: 127.0.0.1:8443, behind_tls_proxy: true", "listeners[0].tls.client_ca: or spiffe is required"},
		{"two who speak TLS", "JWT", "address: 0.0.0.0:8443, behind_tls_proxy: true, " + server, "listeners[0].behind_tls_proxy: cannot stand beside tls"},
		{"no key", "JWT", "address: 0.0.0.0:8443, tls: {certificate: certs/client.pem}", "listeners[0].tls.key: is required beside certificate"},
		{"no certificate", "JWT", "address: 0.0.0.0:8443, tls: {client_ca: certs/ca.pem}", "listeners[0].tls.certificate: is required"},
		{"another's key", "JWT", "address: 0.0.0.0:8443, tls: {certificate: certs/client.pem, key: certs/ca.key}", "are not a certificate and its key"},
		{"no file", "JWT", "address: 0.0.0.0:8443, tls: {certificate: certs/no.pem, key: certs/ca.key}", "5:48: listeners[0].tls.certificate: cannot be read"},
		{"no authority", "JWT", "address: 0.0.0.0:8443, tls: {certificate: certs/client.pem, key: certs/client.key, client_ca: certs/ca.key}", "ca.key holds no certificate in PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := config.Parse("sallyport.yaml", []byte("gateway:\n  authentication: {method: "+tt.method+"}\n  authorization: {policy_engine: none}\nlisteners:\n  - {"+tt.listener+"}\n"), o)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want == "" && cfg.Listeners[0].TLS.On() && !filepath.IsAbs(cfg.Listeners[0].TLS.Certificate):
				t.Errorf("Envoy, which may run anywhere, would be told %q", cfg.Listeners[0].TLS.Certificate)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
