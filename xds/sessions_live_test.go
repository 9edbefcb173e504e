package xds

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/internal/registry"
)

// sessionServer keeps sessions in memory, as legacy MCP servers do.
func sessionServer(t testing.TB, name string) *httptest.Server {
	t.Helper()
	var n atomic.Int32
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("mcp-session-id")
		switch {
		case id == "":
			w.Header().Set("mcp-session-id", fmt.Sprintf("%s-%d", name, n.Add(1)))
		case !strings.HasPrefix(id, name+"-"):
			http.Error(w, "unknown session "+id, http.StatusNotFound)
			return
		}
		fmt.Fprint(w, name)
	}))
	t.Cleanup(u.Close)
	return u
}

func TestSessionsReturnToTheReplicaThatMadeThem(t *testing.T) {
	one, two, three := sessionServer(t, "one"), sessionServer(t, "two"), sessionServer(t, "three")
	s := plain("a", 0)
	s.Versions[0].Endpoints = []registry.Endpoint{endpoint(t, one.URL), endpoint(t, two.URL), endpoint(t, three.URL)}
	base, _, p := serveView(t, testSettings(), s, server(t, "single", one.URL))

	_, _, h := get(t, base+"/mcp/single")
	if id := h.Get("mcp-session-id"); !strings.HasPrefix(id, "one-") {
		t.Errorf("the session id of a server with one replica was changed: %q", id)
	}

	sessions, seen := map[string]string{}, map[string]bool{}
	for range 12 {
		code, body, h := get(t, base+"/mcp/a")
		if code != 200 {
			t.Fatalf("got %d %q", code, body)
		}
		sessions[h.Get("mcp-session-id")] = body
		seen[body] = true
	}
	if len(seen) < 2 {
		t.Fatalf("all sessions began on %v", seen)
	}
	for id, owner := range sessions {
		for range 5 {
			if code, body, _ := get(t, base+"/mcp/a", "mcp-session-id", id); code != 200 || body != owner {
				t.Errorf("session of %s: got %d %q", owner, code, body)
			}
		}
	}

	// A session of a replica that has left is unknown to the others, who say so:
	// the client begins a new one.
	s.Versions[0].Endpoints = s.Versions[0].Endpoints[1:]
	r := build(t, []registry.Server{s}, func(set *Settings) { *set = testSettings() })
	if err := p.Push(r); err != nil {
		t.Fatal(err)
	}
	settle(t, p, r)
	for id, owner := range sessions {
		code, body, _ := get(t, base+"/mcp/a", "mcp-session-id", id)
		if want := map[bool]int{true: 404, false: 200}[owner == "one"]; code != want {
			t.Errorf("session of %s: got %d %q, want %d", owner, code, body, want)
		}
	}
	// Nor does a forged one lead out of the version's own replicas.
	if code, body, _ := get(t, base+"/mcp/a", "mcp-session-id", "MTI3LjAuMC4xOjE=;UV:b25lLTE="); code != 404 {
		t.Errorf("forged session: got %d %q", code, body)
	}
}

// ext_proc reads the version out of the session id and pins the request, also
// to versions that take no new sessions, and the replica within the version.
func TestPinnedRequestsReachTheirVersion(t *testing.T) {
	one, two, three := sessionServer(t, "one"), sessionServer(t, "two"), sessionServer(t, "three")
	proc := startProc(t)
	set := testSettings()
	set.NoExtProc, set.ExtProc = false, proc.address
	base, _, _ := serveView(t, set, registry.Server{Name: "a", Versions: []registry.Version{
		{Name: "v1", Weight: 1, Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{endpoint(t, one.URL)}},
		{Name: "v2", Weight: 0, Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{endpoint(t, two.URL), endpoint(t, three.URL)}},
	}})
	for range 5 {
		if _, body, h := get(t, base+"/mcp/a"); body != "one" || h.Get("mcp-session-id") == "" {
			t.Errorf("a new session began on %q", body)
		}
	}
	for range 5 {
		_, owner, h := get(t, base+"/mcp/a", "pin", "v2")
		if owner != "two" && owner != "three" {
			t.Fatalf("pinned to v2, got %q", owner)
		}
		for range 3 {
			if code, body, _ := get(t, base+"/mcp/a", "pin", "v2", "mcp-session-id", h.Get("mcp-session-id")); code != 200 || body != owner {
				t.Errorf("session of %s: got %d %q", owner, code, body)
			}
		}
	}
	if _, body, _ := get(t, base+"/mcp/a", "pin", "v9"); body != "one" {
		t.Errorf("a version that does not exist any more: %q", body)
	}
}
