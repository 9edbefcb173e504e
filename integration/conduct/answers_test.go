package conduct

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// A server whose refunds need approval has a tool that only reads ask for consent.
// Neither the response of a legacy client nor the request that a modern one sends
// again brings it, while a no does.
func TestConsentDoesNotReachAServerWhoseActionsNeedApproval(t *testing.T) {
	var mu sync.Mutex
	var reached []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		reached = append(reached, string(b))
		mu.Unlock()
		if !strings.Contains(string(b), `"method"`) {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[{"type":"text","text":"done"}]}}`)
	}))
	t.Cleanup(s.Close)
	text := testenv.Config(t, "  - name: crm\n    url: "+s.URL+tools, guide(t))
	path := t.TempDir() + "/sallyport.yaml"
	testenv.Write(t, path, text)
	g := testenv.StartFile(t, path)
	send := func(body string, headers ...string) string {
		r := testenv.Post(t, g.MCP+"/mcp/crm", body, headers...)
		return r.Status + " " + r.Text
	}
	legacy := func(answer string) string {
		return send(`{"jsonrpc":"2.0","id":7,"result":`+answer+`}`, "MCP-Protocol-Version", "2025-11-25")
	}
	modern := func(answer string) string {
		return send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"search","arguments":{"text":"x"},"inputResponses":{"k":`+answer+`},"requestState":"s","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "search")
	}
	for name, answer := range map[string]func(string) string{"legacy": legacy, "modern": modern} {
		if got := answer(`{"action":"accept","content":{"refund":"$5000"}}`); !strings.Contains(got, `"approval_required"`) {
			t.Errorf("%s: consent is answered by %s", name, got)
		}
		if got := answer(`{"action":"decline"}`); !strings.HasPrefix(got, "20") || strings.Contains(got, "error") {
			t.Errorf("%s: a no is answered by %s", name, got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(reached, "\n"); strings.Contains(all, "accept") || strings.Count(all, "decline") != 2 {
		t.Errorf("the server got\n%s", all)
	}
}
