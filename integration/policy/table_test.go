package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sallyport/sallyport/guard"
	guardpolicy "github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/cedar"
	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/internal/opa"
	"github.com/sallyport/sallyport/mcp"
)

func TestTheDecisionTable(t *testing.T) {
	all, err := rows()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 280 {
		t.Errorf("only %d rows", len(all))
	}
	for engine, open := range engines {
		for name, ttl := range map[string]time.Duration{"every decision made anew": 0, "decisions used again": time.Hour} {
			t.Run(engine+", "+name, func(t *testing.T) {
				p := open(t, ttl)
				c := chain(t, p)
				for range 2 { // the second time from the cache, where there is one
					for _, r := range all {
						m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, r.message())
						if f != nil {
							t.Fatalf("%s: %v", r, f)
						}
						d := c.Run(context.Background(), r.exchange(&m), &m)
						if d.Reason != r.want || (d.Action == guard.Allow) != (r.want == "") {
							t.Errorf("%s: got %s %s (%s), want %q", r, d.Action, d.Reason, d.Detail, r.want)
						}
					}
				}
				t.Logf("%d rows, %+v", len(all), p.Stats())
			})
		}
	}
}

type decider interface {
	guardpolicy.Decider
	Stats() memo.Stats
}

// engines open the table's organisation, by engine.
var engines = map[string]func(t testing.TB, ttl time.Duration) decider{
	"OPA": func(t testing.TB, ttl time.Duration) decider {
		b, err := opa.Load(testenv.Bundle(t, string(organisation)), nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := opa.New(b, opa.Settings{CacheTTL: ttl, Deadline: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return p
	},
	"Cedar": func(t testing.TB, ttl time.Duration) decider {
		files := make(map[string][]byte)
		list, err := os.ReadDir("testdata/cedar")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if files[f.Name()], err = os.ReadFile(filepath.Join("testdata/cedar", f.Name())); err != nil {
				t.Fatal(err)
			}
		}
		p, err := cedar.New(cedar.FromFiles("1.0.0", files), cedar.Settings{CacheTTL: ttl, Deadline: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return p
	},
}

// chain holds the policy guard alone, which says openly what it hides otherwise.
func chain(t testing.TB, p guardpolicy.Decider) *guard.Chain {
	t.Helper()
	spec := guardpolicy.Spec(func(guardpolicy.Config) (guardpolicy.Decider, error) { return p, nil })
	g, err := spec.Build(func(c any) error {
		c.(*guardpolicy.Config).Hide = false
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := guard.New(guard.Host{
		Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{}),
		Await: func(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
			return wait(ctx)
		},
	}, guard.Member{Spec: spec, Guard: g, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTheDecisionTableThroughEnvoy asks the same through a real Envoy. Nobody
// can prove to be somebody there without an identity provider, so each role of
// the table in turn is what the bundle gives to whoever is anonymous, for the
// rows that need nothing of a principal but its role.
func TestTheDecisionTableThroughEnvoy(t *testing.T) {
	all, err := rows()
	if err != nil {
		t.Fatal(err)
	}
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"hello"},{"name":"other"}]}}`)
	}))
	t.Cleanup(u.Close)
	servers := ""
	for _, s := range []string{"crm internal", "hr confidential", "lobby public", "unregistered internal"} {
		name, class, _ := strings.Cut(s, " ")
		servers += fmt.Sprintf("  - {name: %s, url: %s, owner: team-%s, data_classification: %s}\n", name, u.URL, name, class)
	}
	dir := testenv.Bundle(t, string(as(t, "anonymous")))
	text := strings.Replace(testenv.Config(t, servers, "guards: {policy: {bundle: "+dir+", signatures: optional, hide: false, poll: 100ms, requests_only: true}, "+without("normalise", "dlp", "injection")+"}\n"),
		"policy_engine: none", "policy_engine: OPA, decision_cache_ttl: 5m", 1)
	address := testenv.FreeAddress(t) // the gateway says no port of its own choice
	text = strings.Replace(text, `extproc: {address: "127.0.0.1:0"}`, `extproc: {address: "`+address+`"}`, 1)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, text)
	g := testenv.StartFile(t, path)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	authz := authv3.NewAuthorizationClient(conn)

	asked := 0
	for _, role := range []string{"anonymous", "support", "auditor", "clerk"} {
		before := g.Get(t, "/v1/status")
		testenv.Write(t, filepath.Join(dir, "org", "data.json"), string(as(t, role)))
		if role != "anonymous" {
			testenv.Eventually(t, time.Minute, "the bundle for "+role, func() bool { return revision(t, g.Get(t, "/v1/status")) != revision(t, before) })
		}
		for _, r := range all {
			if !fits(r, role) {
				continue
			}
			asked++
			reason := post(t, g.MCP+"/mcp/"+r.server.Name, r.message())
			if reason != string(r.want) {
				t.Errorf("%s: got %q, want %q", r, reason, r.want)
			}
			if r.target != "tenant_report" { // it sets an argument, which ext_authz cannot
				if reason := check(t, authz, "/mcp/"+r.server.Name, r.message()); reason != string(r.want) {
					t.Errorf("%s: ext_authz says %q, want %q", r, reason, r.want)
				}
			}
		}
	}
	if asked < 150 {
		t.Errorf("only %d rows were asked", asked)
	}
	t.Logf("%d rows through Envoy", asked)

	// A list shows what may be used, and what is bad is not taken.
	if got := body(t, g.MCP+"/mcp/lobby", []byte(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`)); !strings.Contains(got, "hello") || strings.Contains(got, "other") {
		t.Errorf("the list shows %s", got)
	}
	good := revision(t, g.Get(t, "/v1/status"))
	testenv.Write(t, filepath.Join(dir, "sallyport", "main.rego"), "package sallyport\naccess := {")
	testenv.Eventually(t, time.Minute, "the status says what is wrong", func() bool { return strings.Contains(g.Get(t, "/v1/status"), "rego_parse_error") })
	if now := revision(t, g.Get(t, "/v1/status")); now != good {
		t.Errorf("the revision became %s", now)
	}
	if reason := post(t, g.MCP+"/mcp/lobby", row{method: "tools/call", target: "other"}.message()); reason != string(guardpolicy.ToolNotAllowed) {
		t.Errorf("with a bad bundle on disk: %q", reason)
	}
}

// without turns guards off.
func without(names ...string) string {
	var out []string
	for _, n := range names {
		out = append(out, n+": {mode: off}")
	}
	return strings.Join(out, ", ")
}

// check asks ext_authz as Envoy would, and returns the reason of a refusal, or "".
func check(t testing.TB, service authv3.AuthorizationClient, path string, message []byte) string {
	t.Helper()
	h := &corev3.HeaderMap{}
	for _, f := range [][2]string{
		{":method", "POST"}, {":path", path}, {":authority", "localhost"}, {":scheme", "http"}, {"content-type", "application/json"},
		{"accept", "application/json, text/event-stream"}, {"mcp-protocol-version", "2025-11-25"}, {"content-length", strconv.Itoa(len(message))},
		{"x-envoy-auth-partial-body", "false"},
	} {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: f[0], RawValue: []byte(f[1])})
	}
	resp, err := service.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{HeaderMap: h, RawBody: message},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetDeniedResponse() == nil {
		return ""
	}
	var reply struct {
		Error struct{ Data struct{ Reason string } }
	}
	if err := json.Unmarshal([]byte(resp.GetDeniedResponse().GetBody()), &reply); err != nil {
		t.Fatalf("%v: %s", err, resp.GetDeniedResponse().GetBody())
	}
	return reply.Error.Data.Reason
}

// fits reports whether a row needs nothing of its principal but the role.
func fits(r row, role string) bool {
	name := map[string]string{"nobody": "anonymous"}[r.principal]
	if name == "" {
		name = r.principal
	}
	tenant := r.server.Name == "hr" && r.want != guardpolicy.ServerNotAllowed || r.target == "tenant_report"
	return name == role && !tenant && r.target != "refund"
}

// as gives the anonymous principal the rights of a role.
func as(t testing.TB, role string) []byte {
	t.Helper()
	var org map[string]any
	if err := json.Unmarshal(organisation, &org); err != nil {
		t.Fatal(err)
	}
	roles := org["roles"].(map[string]any)
	roles["anonymous"] = roles[role]
	b, err := json.Marshal(org)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func revision(t testing.TB, status string) string {
	t.Helper()
	var s struct{ Policy struct{ Revision string } }
	if err := json.Unmarshal([]byte(status), &s); err != nil {
		t.Fatal(err)
	}
	return s.Policy.Revision
}

func body(t testing.TB, url string, message []byte) string {
	t.Helper()
	return testenv.Post(t, url, string(message), "Mcp-Protocol-Version", "2025-11-25").Text
}

// post returns the reason of a refusal, or "".
func post(t testing.TB, url string, message []byte) string {
	t.Helper()
	var reply struct {
		Error *struct{ Data struct{ Reason string } }
	}
	text := body(t, url, message)
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if reply.Error == nil {
		return ""
	}
	return reply.Error.Data.Reason
}
