package identity

import (
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

func TestOpaqueTokensThroughEnvoy(t *testing.T) {
	p := startIssuer(t)
	var down atomic.Bool
	desk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); down.Load() || user != "gateway" || pass != "word" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"active": r.PostFormValue("token") == "at_good", "sub": "ana", "client_id": "desk", "aud": public + "/mcp/crm",
			"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
		})
	}))
	t.Cleanup(desk.Close)
	t.Setenv("TEST_INTROSPECTION_SECRET", "word")
	upstream, seen := answering(t)
	config := strings.Replace(testenv.Config(t, "  - {name: crm, url: "+upstream+"}\n", ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config += fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers:\n      - url: %q\n        introspection: {url: %q, client_id: gateway, client_secret: \"env:TEST_INTROSPECTION_SECRET\"}\n", public, p.URL, desk.URL)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	g := testenv.StartFile(t, path)
	for _, c := range []struct {
		token  string
		down   bool
		status int
		says   string
	}{
		{"at_good", false, 200, "result"},
		{"at_gone", false, 401, "unauthenticated"},
		{p.Token(t, public+"/mcp/crm", time.Minute, nil), true, 200, "result"}, // a JWT needs nobody
		{"at_good", true, 200, "result"},                                       // remembered
		{"at_new", true, 503, "guard_error"},
	} {
		down.Store(c.down)
		resp, body, err := do(t.Context(), http.DefaultClient, g.MCP+"/mcp/crm", "Authorization", "Bearer "+c.token)
		if err != nil || resp.StatusCode != c.status || !strings.Contains(body, c.says) || (resp.Header.Get("Www-Authenticate") != "") != (c.status == 401) {
			t.Errorf("%.10s, down %t: %v %s %v", c.token, c.down, resp, body, err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("the server was reached %d times", len(seen))
	}
	if text := g.ReceiptsWith(t, "not active"); !strings.Contains(text, `"subject":"ana"`) || strings.Contains(text, "at_g") {
		t.Errorf("receipts do not say who, or hold tokens:\n%s", text)
	}
}
