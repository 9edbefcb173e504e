package matrix

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
	"github.com/sallyport/sallyport/integration/testenv"
)

// Every client works in sessions, and with events, whose ids are sealed for it,
// although each of its requests has another token.
func TestSealedSessions(t *testing.T) {
	servers := []peers.Server{peers.GoEverything(t, false), peers.Everything(t)}
	who, key := testenv.StartIssuer(t), filepath.Join(t.TempDir(), "key")
	testenv.Write(t, key, strings.Repeat("sealed ", 6))
	const public = "https://mcp.example.com"
	var list strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&list, "  - {name: %s, url: %q}\n", s.Name, s.URL)
	}
	config := strings.Replace(testenv.Config(t, list.String(), ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config += fmt.Sprintf("guards:\n  identity: {public_url: %s, issuers: [{url: %q}]}\n  binding: {keys: [%q]}\n", public, who.URL, "file:"+key)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	g := gateway{Gateway: testenv.StartFile(t, path)}

	fresh := func(path string) string {
		return who.Token(t, public+path, time.Hour, map[string]any{"jti": fmt.Sprint(time.Now().UnixNano())})
	}
	proxy := bearer(t, g.MCP, fresh, nil)
	for _, s := range servers {
		g.servers = append(g.servers, s.At(proxy.URL+"/mcp/"+s.Name))
	}
	sent := newTally()
	g.each(t, func(_ talk, p *scenario.Plan) { p.Slow = nil }, func(t *testing.T, c talk, _ scenario.Plan, steps scenario.Steps) {
		if failed := steps.Failed(); len(failed) > 0 {
			t.Errorf("failed:\n%s", failed)
		}
		if c.session(steps) {
			sent.add("closed", c.server.Name)
		}
	})
	if t.Failed() {
		return
	}
	closed := sent.of("closed")
	if len(closed) != len(servers) {
		t.Errorf("sessions ended: %v", closed)
	}
	g.receipts(t, "of every session's end", closed, func(r receipt) bool { return r.Action == "allow" && r.Method == "transport/close" })
}
