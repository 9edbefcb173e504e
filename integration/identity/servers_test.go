package identity

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/sallyport/sallyport/integration/testenv"
)

const crmID = "spiffe://company.example/ns/sales/crm"

// workloadServer is an MCP server that is a workload: go-spiffe shows its SVID,
// and takes callers of company.example only that are the gateway.
type workloadServer struct {
	url    string
	shows  atomic.Pointer[testenv.Certificate]
	trusts atomic.Pointer[x509bundle.Bundle]
	hits   atomic.Int64
	caller atomic.Pointer[x509.Certificate] // of the last connection on which somebody asked
	server *httptest.Server
}

func startWorkloadServer(t testing.TB, shows *testenv.Certificate, trusts ...*testenv.Certificate) *workloadServer {
	t.Helper()
	w := &workloadServer{}
	w.shows.Store(shows)
	w.trust(trusts...)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hits.Add(1)
		w.caller.Store(r.TLS.PeerCertificates[0])
		if id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0]); err != nil || id.String() != gatewayID {
			http.Error(rw, "a stranger", http.StatusForbidden)
			return
		}
		if r.Method == http.MethodGet { // a stream that a rotation must not end
			rw.Header().Set("Content-Type", "text/event-stream")
			for n := range 1000 {
				fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":%d}}\n\n", n)
				_ = http.NewResponseController(rw).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.TLS = tlsconfig.MTLSServerConfig(w, w, tlsconfig.AuthorizeID(spiffeid.RequireFromString(gatewayID)))
	s.TLS.NextProtos = []string{"h2", "http/1.1"}
	s.TLS.Certificates = []tls.Certificate{shows.TLS()} // httptest would bring its own; GetCertificate decides
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	w.url, w.server = s.URL, s
	return w
}

func (w *workloadServer) trust(authorities ...*testenv.Certificate) {
	b := x509bundle.New(spiffeid.RequireTrustDomainFromString("company.example"))
	for _, a := range authorities {
		b.AddX509Authority(a.Certificate)
	}
	w.trusts.Store(b)
}

// GetX509SVID implements x509svid.Source.
func (w *workloadServer) GetX509SVID() (*x509svid.SVID, error) {
	p := w.shows.Load()
	return &x509svid.SVID{Certificates: []*x509.Certificate{p.Certificate}, PrivateKey: p.Key}, nil
}

// GetX509BundleForTrustDomain implements x509bundle.Source.
func (w *workloadServer) GetX509BundleForTrustDomain(d spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	return w.trusts.Load().GetX509BundleForTrustDomain(d)
}

// towards runs a gateway that is a workload, in front of servers that are.
func towards(t testing.TB, api *workloadAPI, servers string) *testenv.Gateway {
	t.Helper()
	config := strings.Replace(testenv.Config(t, servers, "spiffe: {workload_api: \"unix://"+api.socket+"\"}\n"),
		"authentication: {method: none}", `authentication: {method: none, workload_identity: "SPIFFE"}`, 1)
	path := t.TempDir() + "/sallyport.yaml"
	testenv.Write(t, path, config)
	return testenv.StartFile(t, path)
}

func TestAServerMustBeTheWorkloadThatItsRegistrationNames(t *testing.T) {
	company, partner, other := testenv.NewAuthority(t, "spiffe://company.example"), testenv.NewAuthority(t, "spiffe://partner.example"), testenv.NewAuthority(t, "spiffe://other.example")
	api := startWorkloadAPI(t)
	api.give(t, company.Issue(t, time.Hour, gatewayID), []*testenv.Certificate{company}, map[string]*testenv.Certificate{"partner.example": partner})
	var list strings.Builder
	servers := make(map[string]*workloadServer)
	cases := []struct {
		name, spiffe string
		shows        *testenv.Certificate
		works        bool
	}{
		{"right", "id: \"" + crmID + "\"", company.Issue(t, time.Hour, crmID), true},
		{"right-domain", "trust_domain: company.example", company.Issue(t, time.Hour, crmID), true},
		{"federated", "id: \"spiffe://partner.example/mcp\"", partner.Issue(t, time.Hour, "spiffe://partner.example/mcp"), true},
		{"federated-domain", "trust_domain: partner.example", partner.Issue(t, time.Hour, "spiffe://partner.example/mcp"), true},
		{"another-workload", "id: \"" + crmID + "\"", company.Issue(t, time.Hour, "spiffe://company.example/ns/sales/data"), false},
		{"longer-id", "id: \"" + crmID + "\"", company.Issue(t, time.Hour, crmID+"/x"), false},
		{"partner-as-ours", "id: \"" + crmID + "\"", partner.Issue(t, time.Hour, crmID), false},
		{"ours-as-partner", "id: \"spiffe://partner.example/mcp\"", company.Issue(t, time.Hour, "spiffe://partner.example/mcp"), false},
		{"domain-of-another", "trust_domain: partner.example", company.Issue(t, time.Hour, crmID), false},
		{"unknown-domain", "trust_domain: other.example", other.Issue(t, time.Hour, "spiffe://other.example/x"), false},
		{"expired", "id: \"" + crmID + "\"", company.Issue(t, -time.Second, crmID), false},
		{"without-id", "id: \"" + crmID + "\"", company.Issue(t, time.Hour), false},
		{"self-issued", "id: \"" + crmID + "\"", company.Issue(t, time.Hour, crmID).Issue(t, time.Hour, crmID), false},
	}
	for _, c := range cases {
		servers[c.name] = startWorkloadServer(t, c.shows, company)
		fmt.Fprintf(&list, "  - {name: %s, url: %q, tls: {spiffe: {%s}}, health_check: {disabled: true}}\n", c.name, servers[c.name].url, c.spiffe)
	}
	// A server that trusts another authority of the gateway's domain than the
	// gateway's SVID is of.
	picky := startWorkloadServer(t, company.Issue(t, time.Hour, crmID), testenv.NewAuthority(t, "spiffe://company.example"))
	fmt.Fprintf(&list, "  - {name: picky, url: %q, tls: {spiffe: {id: %q}}, health_check: {disabled: true}}\n", picky.url, crmID)
	g := towards(t, api, list.String())
	for _, c := range cases {
		for range 2 {
			resp, body, err := do(t.Context(), http.DefaultClient, g.MCP+"/mcp/"+c.name)
			if err != nil || (resp.StatusCode == http.StatusOK) != c.works {
				t.Errorf("%s: %v %v %s", c.name, resp, err, body)
			}
		}
		if hits := servers[c.name].hits.Load(); (hits > 0) != c.works {
			t.Errorf("%s: %d requests reached it", c.name, hits)
		}
	}
	if resp, _, err := do(t.Context(), http.DefaultClient, g.MCP+"/mcp/picky"); err != nil || resp.StatusCode == http.StatusOK {
		t.Errorf("a server took an SVID that it cannot verify: %v", err)
	}
}

func TestSVIDsTowardsServersRotateWithoutALostRequest(t *testing.T) {
	before, after := testenv.NewAuthority(t, "spiffe://company.example"), testenv.NewAuthority(t, "spiffe://company.example")
	api := startWorkloadAPI(t)
	api.give(t, before.Issue(t, time.Hour, gatewayID), []*testenv.Certificate{before}, nil)
	s := startWorkloadServer(t, before.Issue(t, time.Hour, crmID), before)
	witness := startWorkloadServer(t, before.Issue(t, time.Hour, crmID), before, after)
	g := towards(t, api, fmt.Sprintf("  - {name: crm, url: %q, tls: {spiffe: {id: %q}}}\n  - {name: witness, url: %q, tls: {spiffe: {id: %[2]q}}}\n", s.url, crmID, witness.url))

	ctx, stop := context.WithCancel(t.Context())
	var calls atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				resp, body, err := do(context.Background(), http.DefaultClient, g.MCP+"/mcp/crm")
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("a call was lost: %v %s", err, body)
					return
				}
				calls.Add(1)
			}
		})
	}
	defer load.Wait()
	defer stop()
	more := beyond(t, &calls)
	resp := send(t, ctx, http.MethodGet, g.MCP+"/mcp/crm", "", "")
	events := bufio.NewScanner(resp.Body)
	event := func() {
		t.Helper()
		for events.Scan() {
			if strings.HasPrefix(events.Text(), "data: ") {
				return
			}
		}
		t.Fatalf("the stream ended: %v", events.Err())
	}
	event()
	more(20)
	// The new authority is known on both sides before anybody shows its SVIDs.
	s.trust(before, after)
	second := after.Issue(t, 2*time.Hour, gatewayID)
	api.give(t, second, []*testenv.Certificate{before, after}, nil)
	testenv.Eventually(t, time.Minute, "the new SVID", func() bool {
		return strings.Contains(g.Get(t, "/v1/status"), second.NotAfter.UTC().Format(time.RFC3339)) || t.Failed()
	})
	more(20)
	s.shows.Store(after.Issue(t, time.Hour, crmID))
	more(20)
	event()
	// The old one leaves: only a server of the new one is believed now.
	testenv.Eventually(t, time.Minute, "Envoy shows the new SVID", func() bool {
		witness.server.CloseClientConnections()
		_, _, _ = do(t.Context(), http.DefaultClient, g.MCP+"/mcp/witness")
		c := witness.caller.Load()
		return c != nil && c.SerialNumber.Cmp(second.SerialNumber) == 0 || t.Failed()
	})
	s.trust(after)
	api.give(t, second, []*testenv.Certificate{after}, nil)
	more(40)
	event()
	stop()
	load.Wait()
	s.shows.Store(before.Issue(t, time.Hour, crmID))
	testenv.Eventually(t, time.Minute, "a server of the authority that left is refused", func() bool {
		s.server.CloseClientConnections() // what was opened while it was believed goes on
		resp, _, err := do(t.Context(), http.DefaultClient, g.MCP+"/mcp/crm")
		return err == nil && resp.StatusCode != http.StatusOK
	})
	t.Logf("%d calls", calls.Load())
}
