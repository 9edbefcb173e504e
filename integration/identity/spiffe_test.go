package identity

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"

	"github.com/sallyport/sallyport/integration/testenv"
)

const (
	gatewayID = "spiffe://company.example/gateway"
	deskID    = "spiffe://company.example/ns/sales/desk"
)

// workloads runs the gateway as a workload that believes company.example and
// partner.example.
func workloads(t testing.TB, api *workloadAPI) *testenv.Gateway {
	t.Helper()
	upstream, _ := answering(t)
	return secure(t, upstream, `method: mTLS, workload_identity: "SPIFFE"`, "spiffe: true",
		"spiffe: {workload_api: \"unix://"+api.socket+"\", trust_domains: [company.example, partner.example]}\n")
}

// asWorkload returns a client's settings that go-spiffe made: it believes the
// gateway by its SPIFFE id alone.
func asWorkload(t testing.TB, shows *testenv.Certificate, trusts ...*testenv.Certificate) *tls.Config {
	t.Helper()
	domain := spiffeid.RequireTrustDomainFromString("company.example")
	bundle := x509bundle.New(domain)
	for _, a := range trusts {
		bundle.AddX509Authority(a.Certificate)
	}
	c := tlsconfig.TLSClientConfig(bundle, tlsconfig.AuthorizeID(spiffeid.RequireFromString(gatewayID)))
	if shows != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own := shows.TLS()
			return &own, nil
		}
	}
	return c
}

func TestOnlyWorkloadsOfTrustedDomainsConnect(t *testing.T) {
	company, partner, stranger := testenv.NewAuthority(t, "spiffe://company.example"), testenv.NewAuthority(t, "spiffe://partner.example"), testenv.NewAuthority(t, "spiffe://stranger.example")
	api := startWorkloadAPI(t)
	api.give(t, company.Issue(t, time.Hour, gatewayID), []*testenv.Certificate{company}, map[string]*testenv.Certificate{"partner.example": partner, "stranger.example": stranger})
	g := workloads(t, api)

	for id, a := range map[string]*testenv.Certificate{deskID: company, "spiffe://partner.example/robot": partner} {
		resp, body, err := post(t, g, asWorkload(t, a.Issue(t, time.Hour, id), company), "X-Forwarded-Client-Cert", "URI=spiffe://company.example/root")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %s", id, err, body)
		}
		if r := g.ReceiptsWith(t, `"peer":"`+id+`"`); strings.Contains(r, "example/root") {
			t.Errorf("a forged header spoke:\n%s", r)
		}
	}

	refused := func(resp *http.Response, err error) bool {
		return err != nil || resp.StatusCode == http.StatusUnauthorized
	}
	for name, shows := range map[string]*testenv.Certificate{
		"no certificate": nil,
		"a federated domain that is not in trust_domains": stranger.Issue(t, time.Hour, "spiffe://stranger.example/robot"),
		"a partner that calls itself ours":                partner.Issue(t, time.Hour, deskID),
		"a partner with our name first":                   partner.Issue(t, time.Hour, deskID, "spiffe://partner.example/robot"),
		"one of ours with another name first":             company.Issue(t, time.Hour, "https://company.example/root", deskID),
		"a certificate without any id":                    company.Issue(t, time.Hour),
		"the id of a whole domain":                        company.Issue(t, time.Hour, "spiffe://company.example"),
		"an SVID that expired":                            company.Issue(t, -time.Second, deskID),
		"an SVID that a workload issued":                  company.Issue(t, time.Hour, deskID).Issue(t, time.Hour, deskID),
	} {
		resp, body, err := post(t, g, asWorkload(t, shows, company))
		if !refused(resp, err) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	// Envoy verifies a certificate by its first id, and that is who it is, whatever
	// else it names.
	two := partner.Issue(t, time.Hour, "spiffe://partner.example/two", deskID)
	if resp, _, err := post(t, g, asWorkload(t, two, company)); err == nil && resp.StatusCode == http.StatusOK {
		g.ReceiptsWith(t, `"peer":"spiffe://partner.example/two"`)
	}
	if r := g.ReceiptsWith(t, `"peer"`); strings.Count(r, `"peer":"`+deskID+`"`) != 2 { // its request and the reply
		t.Errorf("somebody else passed for %s:\n%s", deskID, r)
	}
	var s struct {
		SPIFFE struct {
			ID           string   `json:"id"`
			TrustDomains []string `json:"trust_domains"`
		} `json:"spiffe"`
	}
	text := g.Get(t, "/v1/status")
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.SPIFFE.ID != gatewayID || len(s.SPIFFE.TrustDomains) != 2 || strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("%+v %v in %s", s, err, text)
	}
}

// dialing counts the connections of a client.
func dialing(conf *tls.Config, n *atomic.Int64) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
}

func TestANewSVIDEndsNoConnection(t *testing.T) {
	before, after := testenv.NewAuthority(t, "spiffe://company.example"), testenv.NewAuthority(t, "spiffe://company.example")
	api := startWorkloadAPI(t)
	api.give(t, before.Issue(t, time.Hour, gatewayID), []*testenv.Certificate{before}, nil)
	g := workloads(t, api)

	var calls, dials atomic.Int64
	var shows atomic.Pointer[testenv.Certificate]
	shows.Store(before.Issue(t, time.Hour, deskID))
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	kept := dialing(asWorkload(t, shows.Load(), before, after), &dials)
	defer kept.CloseIdleConnections()
	for i := range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				c := kept
				if i%2 == 0 {
					c = &http.Client{Transport: &http.Transport{TLSClientConfig: asWorkload(t, shows.Load(), before, after), DisableKeepAlives: true}}
				}
				resp, body, err := do(context.Background(), c, g.MCP+"/mcp/crm")
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
	shown := func(by *testenv.Certificate) func() bool {
		return func() bool {
			resp, _, err := post(t, g, asWorkload(t, shows.Load(), before, after))
			return err == nil && resp.TLS.PeerCertificates[0].SerialNumber.Cmp(by.SerialNumber) == 0 || t.Failed()
		}
	}
	more(20)
	second := before.Issue(t, time.Hour, gatewayID)
	api.give(t, second, []*testenv.Certificate{before, after}, nil)
	testenv.Eventually(t, time.Minute, "the new SVID", shown(second))
	old := shows.Swap(after.Issue(t, time.Hour, deskID))
	more(20)

	api.stop() // the agent goes away; nothing else does
	more(20)
	third := after.Issue(t, time.Hour, gatewayID)
	api.give(t, third, []*testenv.Certificate{after}, nil)
	api.serve(t)
	testenv.Eventually(t, time.Minute, "the SVID of the agent that came back", shown(third))
	testenv.Eventually(t, time.Minute, "the old bundle's end", func() bool {
		_, _, err := post(t, g, asWorkload(t, old, before, after))
		return err != nil
	})
	more(20)
	stop()
	load.Wait()
	if n := dials.Load(); n > 2 { // two callers may have raced for the first
		t.Errorf("the kept connection was made %d times", n)
	}
	t.Logf("%d calls", calls.Load())
}
