package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// keeper is an MCP server that keeps sessions in memory, one of several.
func keeper(t testing.TB, name string) string {
	t.Helper()
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Mcp-Session-Id")
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		switch {
		case id == "":
			w.Header().Set("Mcp-Session-Id", fmt.Sprintf("%s-%d", name, n.Add(1)))
		case !strings.HasPrefix(id, name+"-"):
			http.Error(w, "unknown session "+id, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":%q}]}}`, name)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// ask makes one call and returns its status, who answered, and the session.
func ask(t testing.TB, g *testenv.Gateway, token, session string) (status int, by, sealed string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	header := []string{"Authorization", "Bearer " + token}
	if session != "" {
		header = append(header, "Mcp-Session-Id", session)
	}
	resp, body, err := do(ctx, http.DefaultClient, g.MCP+"/mcp/crm", header...)
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Result struct{ Content []struct{ Text string } }
	}
	if json.Unmarshal([]byte(body), &reply) == nil && len(reply.Result.Content) == 1 {
		by = reply.Result.Content[0].Text
	}
	return resp.StatusCode, by, resp.Header.Get("Mcp-Session-Id")
}

// Sessions lead back to the version and the replica that made them although
// nobody but the gateway can read where that is, for their callers only, at
// every replica of the gateway with the key, also after a restart, until the key
// is retired.
func TestASealedSessionLeadsBackToItsVersionAndReplica(t *testing.T) {
	p, dir := startIssuer(t), t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	testenv.Write(t, old, strings.Repeat("old key ", 4))
	testenv.Write(t, fresh, strings.Repeat("new key ", 4)+"\n")
	one, two, three := keeper(t, "one"), keeper(t, "two"), keeper(t, "three")
	start := func(keys ...string) *testenv.Gateway {
		config := strings.Replace(testenv.Config(t, fmt.Sprintf("  - name: crm\n    versions:\n      - {name: v1, weight: 1, url: %q}\n      - {name: v2, weight: 1, urls: [%q, %q]}\n", one, two, three), ""),
			"authentication: {method: none}", "authentication: {method: JWT}", 1)
		config += fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q, scopes: [mcp]}]\n  binding: {keys: [%s]}\n", public, p.URL, strings.Join(keys, ", "))
		path := filepath.Join(t.TempDir(), "sallyport.yaml")
		testenv.Write(t, path, config)
		return testenv.StartFile(t, path)
	}
	ana := func() string { return p.Token(t, public+"/mcp/crm", 10*time.Minute, nil) }
	eve := p.Token(t, public+"/mcp/crm", 10*time.Minute, map[string]any{"sub": "eve"})

	g := start("file:" + old)
	sessions, began := map[string]string{}, map[string]bool{}
	for range 60 {
		status, by, session := ask(t, g, ana(), "")
		if status != http.StatusOK || strings.Contains(session, by) || strings.ContainsAny(session, "~=;:") {
			t.Fatalf("%d, a session %q of %s", status, session, by)
		}
		sessions[session], began[by] = by, true
		if len(began) == 3 && len(sessions) > 8 {
			break
		}
	}
	if len(began) != 3 {
		t.Fatalf("sessions began on %v only", began)
	}
	check := func(g *testenv.Gateway, want int) {
		t.Helper()
		for session, owner := range sessions {
			if status, by, _ := ask(t, g, ana(), session); status != want || want == http.StatusOK && by != owner {
				t.Errorf("the session of %s: %d by %q, want %d", owner, status, by, want)
			}
			if status, by, _ := ask(t, g, eve, session); status != http.StatusNotFound || by != "" {
				t.Errorf("a stolen session of %s: %d by %q", owner, status, by)
			}
		}
	}
	check(g, http.StatusOK)
	for name, made := range map[string]string{"the server's own": "one-1", "with a version": "v1~one-1", "an envelope": "MTI3LjAuMC4xOjE=;UV:b25lLTE="} {
		if status, by, _ := ask(t, g, ana(), made); status != http.StatusNotFound {
			t.Errorf("a made-up session, %s: %d by %q", name, status, by)
		}
	}
	var st struct {
		Binding struct {
			Bound bool
			Keys  int
		}
	}
	rotating := start("file:"+fresh, "file:"+old) // another replica, with a key more
	check(rotating, http.StatusOK)
	if err := json.Unmarshal([]byte(rotating.Get(t, "/v1/status")), &st); err != nil || !st.Binding.Bound || st.Binding.Keys != 2 {
		t.Errorf("status: %+v %v", st, err)
	}
	status, _, session := ask(t, rotating, ana(), "")
	after := start("file:" + fresh) // the old key is retired
	check(after, http.StatusNotFound)
	if got, _, _ := ask(t, after, ana(), session); status != http.StatusOK || got != http.StatusOK {
		t.Errorf("a session of the new key: %d, then %d", status, got)
	}
}
