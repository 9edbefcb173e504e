// Package release runs the life of policies through a real Envoy: bundles by
// URL, canaries, rollbacks, and what is bad.
package release

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sallyport/sallyport/integration/testenv"
)

// signer signs bundles.
type signer struct{ private, public string }

func newSigner(t testing.TB) signer {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "release.pub")
	testenv.Write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	return signer{string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), path}
}

// sign makes a signed archive of rules, whatever they are.
func (s signer) sign(t testing.TB, version, rego string) []byte {
	t.Helper()
	parsed, _ := ast.ParseModuleWithOpts("main.rego", rego, ast.ParserOptions{RegoVersion: ast.RegoV1})
	roots := []string{""}
	b := bundle.Bundle{
		Manifest: bundle.Manifest{Revision: version, Roots: &roots}, Data: map[string]any{},
		Modules: []bundle.ModuleFile{{URL: "/main.rego", Path: "/main.rego", Raw: []byte(rego), Parsed: parsed}},
	}
	if err := b.GenerateSignature(bundle.NewSigningConfig(s.private, "EdDSA", ""), "k1", true); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// rules allow everything; both steps say which version they are of, and so does
// what the tools list shows.
func rules(version string) string {
	return fmt.Sprintf(`package sallyport

access := {"allow": input.target.name in {"", "any", "only-%[1]s"}, "obligations": {"labels": ["access-%[1]s"]}}

call := {"allow": true, "obligations": {"labels": [sprintf("call-%[1]s%%s", [object.get(input.arguments, "none", "")])]}}
`, version)
}

// bundles serves archives as a bundle server does.
type bundles struct {
	*httptest.Server
	mu      sync.Mutex
	archive []byte
	handle  http.HandlerFunc // instead
	tokens  map[string]bool
}

func serveBundles(t testing.TB) *bundles {
	t.Helper()
	b := &bundles{tokens: make(map[string]bool)}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bundles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	archive, handle := b.archive, b.handle
	b.tokens[r.Header.Get("Authorization")] = true
	b.mu.Unlock()
	if handle != nil {
		handle(w, r)
		return
	}
	etag := fmt.Sprintf("%q", fmt.Sprint(len(archive), string(archive[len(archive)-8:])))
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("ETag", etag)
	_, _ = w.Write(archive)
}

func (b *bundles) offer(archive []byte, instead http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.archive, b.handle = archive, instead
}

// upstream is an MCP server that has the tools "any", "only-1" and "only-2".
func upstream(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&m)
		result := `{"content":[]}`
		if m.Method == "tools/list" {
			result = `{"tools":[{"name":"any"},{"name":"only-1"},{"name":"only-2"},{"name":"only-3"}]}`
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const public = "https://mcp.example.com"

// write writes the configuration of a gateway whose policy guard is as said.
func write(t testing.TB, i *testenv.Issuer, guard, more string) (path, receipts string) {
	t.Helper()
	dir := t.TempDir()
	path, receipts = filepath.Join(dir, "sallyport.yaml"), filepath.Join(dir, "receipts.jsonl")
	text := testenv.Config(t, "  - {name: crm, url: "+upstream(t)+"}\n", "guards:\n  identity: {public_url: "+public+", issuers: [{url: "+i.URL+"}]}\n  policy: "+guard+"\n"+more)
	text = strings.Replace(text, "authentication: {method: none}", "authentication: {method: JWT}", 1)
	text = strings.Replace(text, "policy_engine: none", "policy_engine: OPA, decision_cache_ttl: 5m", 1)
	lines := strings.Split(text, "\n")
	for n, l := range lines {
		if strings.HasPrefix(l, "receipts:") {
			lines[n] = "receipts: {path: " + receipts + "}"
		}
	}
	testenv.Write(t, path, strings.Join(lines, "\n"))
	return path, receipts
}

// status is what tests read of /v1/policy.
type status struct {
	Live, Candidate, Held, Error string
	Stage                        int
	Kept                         []struct{ Revision string }
	Canary                       *struct {
		Compared, Disagreed uint64
		Counts              map[string]uint64
	}
}

func policyOf(t testing.TB, g *testenv.Gateway) status {
	t.Helper()
	var s status
	if text := g.Get(t, "/v1/policy"); json.Unmarshal([]byte(text), &s) != nil {
		t.Fatalf("/v1/policy: %s", text)
	}
	return s
}

// await waits until the policy's status is as wanted.
func await(t testing.TB, g *testenv.Gateway, what string, ok func(status) bool) status {
	t.Helper()
	var s status
	testenv.Eventually(t, time.Minute, what, func() bool { s = policyOf(t, g); return ok(s) })
	return s
}

// version is a revision without its digest.
func version(revision string) string {
	v, _, _ := strings.Cut(revision, "+")
	return v
}

func send(g *testenv.Gateway, token, body string) (string, error) {
	r, err := testenv.PostBy(context.Background(), http.DefaultClient, g.MCP+"/mcp/crm", body, "Mcp-Protocol-Version", "2025-11-25", "Authorization", "Bearer "+token)
	return r.Text, err
}

const (
	callAny  = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"any","arguments":{"q":"x"}}}`
	listTool = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
)

// receipt is what tests read of one.
type receipt struct {
	Policy, Subject, Method, Direction, Action, Reason string
	Labels                                             []string
}

func receipts(t testing.TB, path string) []receipt {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []receipt
	for line := range bytes.Lines(data) {
		var r receipt
		if json.Unmarshal(line, &r) == nil && r.Action != "" {
			out = append(out, r)
		}
	}
	return out
}
