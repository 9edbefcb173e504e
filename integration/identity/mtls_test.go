package identity

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}`

// answering is an MCP server that answers every call and keeps the headers it
// saw.
func answering(t testing.TB) (url string, seen chan http.Header) {
	t.Helper()
	seen = make(chan http.Header, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case seen <- r.Header.Clone():
		default: // the first thousand tell enough
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, seen
}

// secure runs the gateway on a listener with these TLS settings, in front of a
// server crm.
func secure(t testing.TB, upstream, method, listener, more string) *testenv.Gateway {
	t.Helper()
	config := testenv.Config(t, "  - {name: crm, url: "+upstream+"}\n", more)
	config = strings.Replace(config, "authentication: {method: none}", "authentication: {"+method+"}", 1)
	config = strings.Replace(config, `[{address: "127.0.0.1:0"}]`, `[{address: "127.0.0.1:0", tls: {`+listener+`}}]`, 1)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	return testenv.StartFile(t, path)
}

// post makes one call on a connection of its own.
func post(t testing.TB, g *testenv.Gateway, conf *tls.Config, header ...string) (*http.Response, string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true, ForceAttemptHTTP2: len(conf.NextProtos) == 0}}
	defer client.CloseIdleConnections()
	return do(t.Context(), client, g.MCP+"/mcp/crm", header...)
}

// beyond returns what waits until so many more calls were counted.
func beyond(t testing.TB, calls *atomic.Int64) func(more int64) {
	return func(more int64) {
		t.Helper()
		until := calls.Load() + more
		testenv.Eventually(t, time.Minute, "calls", func() bool { return calls.Load() >= until || t.Failed() })
	}
}

func do(ctx context.Context, client *http.Client, url string, header ...string) (*http.Response, string, error) {
	r, err := testenv.PostBy(ctx, client, url, call, header...)
	return r.Response, r.Text, err
}

func TestACertificateSaysWhoIsCalling(t *testing.T) {
	dir, ours, theirs := t.TempDir(), testenv.NewAuthority(t), testenv.NewAuthority(t)
	ours.Issue(t, time.Hour).Write(t, dir, "server")
	testenv.Write(t, filepath.Join(dir, "clients.pem"), ours.PEM())
	upstream, seen := answering(t)
	g := secure(t, upstream, "method: mTLS", fmt.Sprintf("certificate: %q, key: %q, client_ca: %q", dir+"/server.pem", dir+"/server.key", dir+"/clients.pem"), "")
	if !strings.HasPrefix(g.MCP, "https://") {
		t.Fatalf("the ready line says %s", g.MCP)
	}
	desk := ours.Issue(t, time.Hour, "spiffe://corp.example/desk")

	for name, limit := range map[string]func(*tls.Config){
		"HTTP/2 over TLS 1.3":   func(*tls.Config) {},
		"HTTP/1.1 over TLS 1.2": func(c *tls.Config) { c.MaxVersion, c.NextProtos = tls.VersionTLS12, []string{"http/1.1"} },
	} {
		conf := ours.Trusting(desk)
		limit(conf)
		resp, body, err := post(t, g, conf, "X-Forwarded-Client-Cert", "By=spiffe://corp.example/gateway;URI=spiffe://corp.example/root", "X-Spiffe-Id", "spiffe://corp.example/root")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %q", name, err, body)
		}
		if got := fmt.Sprintf("HTTP/%d over %s", resp.ProtoMajor, tls.VersionName(resp.TLS.Version)); !strings.HasPrefix(strings.Replace(name, "1.1", "1", 1), strings.Replace(got, "1.1", "1", 1)) {
			t.Errorf("want %s, got %s", name, got)
		}
		if h := <-seen; h.Get("X-Forwarded-Client-Cert") != "" {
			t.Errorf("%s: the server was told %q", name, h.Get("X-Forwarded-Client-Cert"))
		}
	}
	if r := g.ReceiptsWith(t, `"tools/call"`); !strings.Contains(r, `"peer":"spiffe://corp.example/desk"`) || strings.Contains(r, "example/root") {
		t.Errorf("a forged header spoke, or the certificate did not:\n%s", r)
	}

	for name, conf := range map[string]*tls.Config{
		"no certificate":                              ours.Trusting(nil),
		"a certificate of a foreign authority":        ours.Trusting(theirs.Issue(t, time.Hour, "spiffe://corp.example/desk")),
		"a certificate that expired":                  ours.Trusting(ours.Issue(t, -time.Second, "spiffe://corp.example/desk")),
		"a certificate that the client issued itself": ours.Trusting(desk.Issue(t, time.Hour, "spiffe://corp.example/root")),
	} {
		if resp, body, err := post(t, g, conf); err == nil {
			t.Errorf("%s: %d %q", name, resp.StatusCode, body)
		}
	}
	old := ours.Trusting(desk)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, _, err := post(t, g, old); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	if resp, _, err := do(t.Context(), http.DefaultClient, strings.Replace(g.MCP, "https", "http", 1)+"/mcp/crm"); err == nil {
		t.Errorf("plain HTTP on the TLS port: %d", resp.StatusCode)
	}
	if len(seen) != 0 {
		t.Errorf("%d requests of strangers reached the server", len(seen))
	}
}

// A token that names a certificate is worthless to whoever stole it.
func TestATokenBoundToACertificateWorksOnItsConnectionOnly(t *testing.T) {
	dir, ca, p := t.TempDir(), testenv.NewAuthority(t), startIssuer(t)
	ca.Issue(t, time.Hour).Write(t, dir, "server")
	testenv.Write(t, filepath.Join(dir, "clients.pem"), ca.PEM())
	upstream, _ := answering(t)
	g := secure(t, upstream, "method: mTLS + JWT", fmt.Sprintf("certificate: %q, key: %q, client_ca: %q", dir+"/server.pem", dir+"/server.key", dir+"/clients.pem"),
		fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q, scopes: [mcp]}]\n", public, p.URL))
	owner, thief := ca.Issue(t, time.Hour, "spiffe://corp.example/owner"), ca.Issue(t, time.Hour, "spiffe://corp.example/thief")
	sum := sha256.Sum256(owner.Raw)
	bound := p.Token(t, public+"/mcp/crm", 10*time.Minute, map[string]any{"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	free := p.Token(t, public+"/mcp/crm", 10*time.Minute, nil)
	for _, tt := range []struct {
		name, token string
		shows       *testenv.Certificate
		status      int
	}{
		{"its own connection", bound, owner, 200},
		{"the thief's connection", bound, thief, 401},
		{"an unbound token", free, thief, 200},
		{"a certificate alone", "", owner, 401},
		{"a token for another server", p.Token(t, public+"/mcp/data", time.Minute, nil), owner, 401},
	} {
		header := []string{"X-Forwarded-Client-Cert", "Hash=" + fmt.Sprintf("%x", sum) + ";URI=spiffe://corp.example/owner"}
		if tt.token != "" {
			header = append(header, "Authorization", "Bearer "+tt.token)
		}
		resp, body, err := post(t, g, ca.Trusting(tt.shows), header...)
		if err != nil || resp.StatusCode != tt.status || tt.status == 401 && !strings.Contains(resp.Header.Get("Www-Authenticate"), "resource_metadata=") {
			t.Errorf("%s: %+v %s %v", tt.name, resp, body, err)
		}
	}
	if r := g.ReceiptsWith(t, "bound to another certificate"); !strings.Contains(r, `"subject":"ana"`) || !strings.Contains(r, `"peer":"spiffe://corp.example/owner"`) {
		t.Errorf("receipts do not say who:\n%s", r)
	}
	if _, _, err := post(t, g, ca.Trusting(nil), "Authorization", "Bearer "+free); err == nil {
		t.Error("a token without a certificate was served")
	}
}

func TestCertificatesAndAuthoritiesAreReplacedWithoutALostRequest(t *testing.T) {
	dir, before, after := t.TempDir(), testenv.NewAuthority(t), testenv.NewAuthority(t)
	first, second := before.Issue(t, time.Hour), before.Issue(t, time.Hour)
	first.Write(t, dir, "server")
	clients := filepath.Join(dir, "clients.pem")
	testenv.Write(t, clients, before.PEM())
	upstream, _ := answering(t)
	g := secure(t, upstream, "method: mTLS", fmt.Sprintf("certificate: %q, key: %q, client_ca: %q", dir+"/server.pem", dir+"/server.key", clients), "")

	var shows atomic.Pointer[testenv.Certificate] // by clients from now on
	shows.Store(before.Issue(t, time.Hour, "spiffe://corp.example/old"))
	var calls atomic.Int64
	var newest atomic.Pointer[string]
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			kept := &http.Client{Transport: &http.Transport{TLSClientConfig: before.Trusting(shows.Load()), ForceAttemptHTTP2: i%2 == 0}}
			defer kept.CloseIdleConnections()
			for ctx.Err() == nil {
				fresh := &http.Client{Transport: &http.Transport{TLSClientConfig: before.Trusting(shows.Load()), DisableKeepAlives: true}}
				for _, c := range []*http.Client{kept, fresh} {
					resp, body, err := do(context.Background(), c, g.MCP+"/mcp/crm")
					if err != nil || resp.StatusCode != http.StatusOK {
						t.Errorf("a call was lost: %v %s", err, body)
						return
					}
					calls.Add(1)
					if c == fresh {
						n := resp.TLS.PeerCertificates[0].SerialNumber.String()
						newest.Store(&n)
					}
				}
				fresh.CloseIdleConnections()
			}
		})
	}
	defer load.Wait()
	defer stop()
	more := beyond(t, &calls)
	served := func(shows *testenv.Certificate) func() bool {
		return func() bool {
			resp, _, err := post(t, g, before.Trusting(shows))
			return err == nil && resp.StatusCode == http.StatusOK
		}
	}
	more(40)
	second.Write(t, dir, "server")
	testenv.Eventually(t, time.Minute, "the new certificate", func() bool {
		n := newest.Load()
		return n != nil && *n == second.SerialNumber.String() || t.Failed()
	})
	testenv.Write(t, clients, before.PEM()+after.PEM())
	replacement := after.Issue(t, time.Hour, "spiffe://corp.example/new")
	testenv.Eventually(t, time.Minute, "clients of the new authority", served(replacement))
	more(40)
	old := shows.Swap(replacement)
	more(40)
	testenv.Write(t, clients, after.PEM())
	testenv.Eventually(t, time.Minute, "the old authority's end", func() bool { return !served(old)() })
	more(40)
	stop()
	load.Wait()
	t.Logf("%d calls", calls.Load())
}
