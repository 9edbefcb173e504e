package xds

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/registry"
)

// tlsUpstream serves with a certificate for host. It asks for a client
// certificate of clients, if any.
func tlsUpstream(t testing.TB, a *testenv.Certificate, host string, clients *testenv.Certificate) *httptest.Server {
	t.Helper()
	u := httptest.NewUnstartedServer(echo(host))
	u.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.TLS = &tls.Config{Certificates: []tls.Certificate{a.Issue(t, time.Hour, host).TLS()}, NextProtos: []string{"h2", "http/1.1"}}
	if clients != nil {
		u.TLS.ClientAuth = tls.RequireAndVerifyClientCert
		u.TLS.ClientCAs = x509.NewCertPool()
		u.TLS.ClientCAs.AddCert(clients.Certificate)
	}
	u.EnableHTTP2 = true
	u.StartTLS()
	t.Cleanup(u.Close)
	return u
}

func TestUpstreamCertificatesAreVerifiedByChainAndName(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := testenv.NewAuthority(t), testenv.NewAuthority(t)
	ca, _ := ours.Write(t, dir, "ca")
	certFile, keyFile := ours.Issue(t, time.Hour, "gateway").Write(t, dir, "client")
	byName := tlsUpstream(t, ours, "mcp.internal", nil)
	byAddress := tlsUpstream(t, ours, "127.0.0.1", nil)
	forLocalhost := tlsUpstream(t, ours, "localhost", nil)
	foreign := tlsUpstream(t, theirs, "mcp.internal", nil)
	mutual := tlsUpstream(t, ours, "mcp.internal", ours)

	https := func(name, url, host string, conf registry.TLS) registry.Server {
		s := server(t, name, url)
		s.Versions[0].Scheme, s.Versions[0].TLS = "https", conf
		if host != "" {
			s.Versions[0].Endpoints[0].Host = host
		}
		return s
	}
	a, b := tlsUpstream(t, ours, "a.localhost", nil), tlsUpstream(t, ours, "b.localhost", nil)
	two := https("each-by-its-own-name", a.URL, "a.localhost", registry.TLS{CAFile: ca})
	two.Versions[0].Endpoints = append(two.Versions[0].Endpoints, registry.Endpoint{Host: "b.localhost", Port: endpoint(t, b.URL).Port})
	swapped := https("names-swapped", a.URL, "b.localhost", registry.TLS{CAFile: ca})
	swapped.Versions[0].Endpoints = append(swapped.Versions[0].Endpoints, registry.Endpoint{Host: "a.localhost", Port: endpoint(t, b.URL).Port})
	cases := []struct {
		server registry.Server
		works  bool
	}{
		{https("by-sni", byName.URL, "", registry.TLS{CAFile: ca, SNI: "mcp.internal"}), true},
		{https("by-address", byAddress.URL, "", registry.TLS{CAFile: ca}), true},
		{https("by-host", forLocalhost.URL, "localhost", registry.TLS{CAFile: ca}), true},
		{https("mutual", mutual.URL, "", registry.TLS{CAFile: ca, SNI: "mcp.internal", CertFile: certFile, KeyFile: keyFile}), true},
		{two, true},
		{swapped, false},
		{https("other-name", byName.URL, "", registry.TLS{CAFile: ca, SNI: "other.internal"}), false},
		{https("name-not-address", byName.URL, "", registry.TLS{CAFile: ca}), false},
		{https("address-not-name", byAddress.URL, "localhost", registry.TLS{CAFile: ca}), false},
		{https("foreign-authority", foreign.URL, "", registry.TLS{CAFile: ca, SNI: "mcp.internal"}), false},
		{https("no-client-certificate", mutual.URL, "", registry.TLS{CAFile: ca, SNI: "mcp.internal"}), false},
		{https("system-roots", byAddress.URL, "", registry.TLS{}), false},
	}
	var servers []registry.Server
	for _, c := range cases {
		servers = append(servers, c.server)
	}
	base, _, _ := serveView(t, testSettings(), servers...)
	for _, c := range cases {
		t.Run(c.server.Name, func(t *testing.T) {
			for range 4 {
				code, body, _ := get(t, base+"/mcp/"+c.server.Name)
				if c.works != (code == 200) || (!c.works && code != 502) {
					t.Errorf("got %d %q", code, body)
				}
			}
		})
	}
}

// A certificate that is replaced on disk is used without a new configuration.
func TestRotatedAuthorityIsTakenFromDisk(t *testing.T) {
	dir := t.TempDir()
	first, second := testenv.NewAuthority(t), testenv.NewAuthority(t)
	ca, _ := first.Write(t, dir, "ca")
	up := tlsUpstream(t, second, "127.0.0.1", nil)
	s := server(t, "a", up.URL)
	s.Versions[0].Scheme, s.Versions[0].TLS.CAFile = "https", ca
	base, _, _ := serveView(t, testSettings(), s)
	if code, body, _ := get(t, base+"/mcp/a"); code != 502 {
		t.Fatalf("got %d %q before the rotation", code, body)
	}
	testenv.Write(t, ca, second.PEM())
	eventually(t, "the new authority", func() bool {
		code, _, _ := get(t, base+"/mcp/a")
		return code == 200
	})
}
