package identity

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

const bundle = `package sallyport

access := {"allow": false, "reason": "insufficient_scope", "detail": "no scope", "challenge": {"scopes": ["pay"]}} if {
	input.target.name == "pay"
	not "pay" in input.principal.scopes
} else := {"allow": false, "reason": "tool_not_allowed"} if {
	input.target.name == "drop"
	"drop" in input.principal.scopes
} else := {"allow": false, "reason": "insufficient_scope", "challenge": {"scopes": ["drop"]}} if {
	input.target.name == "drop"
} else := {"allow": true}
`

// steps runs a gateway whose tool transfer is sensitive, and whose policy asks
// for scopes.
func steps(t testing.TB, p *testenv.Issuer, upstream, reauth string) *testenv.Gateway {
	t.Helper()
	dir := t.TempDir()
	testenv.Write(t, filepath.Join(dir, "policy.rego"), bundle)
	config := testenv.Config(t, "  - name: crm\n    url: "+upstream+"\n    tools: [{name: transfer, sensitive: true}]\n", "")
	config = strings.Replace(config, "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config = strings.Replace(config, "policy_engine: none", "policy_engine: OPA", 1)
	config += fmt.Sprintf("identity_framework: {continuous_reauth: %q}\nguards:\n  policy: {bundle: %q, signatures: optional}\n  identity:\n    public_url: %s\n    reauthentication: {max_age: 5m, acr_values: [mfa]}\n    issuers: [{url: %q, scopes: [mcp]}]\n", reauth, dir, public, p.URL)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	return testenv.StartFile(t, path)
}

func TestStepUpsAreAskedForBeforeTheServerSeesAnything(t *testing.T) {
	p := startIssuer(t)
	upstream, seen := answering(t)
	const where = `, resource_metadata="` + public + `/.well-known/oauth-protected-resource/mcp/crm"`
	const login = `Bearer error="insufficient_user_authentication", error_description="A more recent or stronger authentication is required", max_age="300", acr_values="mfa"` + where
	ask := func(g *testenv.Gateway, tool string, age time.Duration, more map[string]any) (*http.Response, string) {
		t.Helper()
		claims := map[string]any{"auth_time": time.Now().Add(-age).Unix(), "acr": "mfa"}
		for k, v := range more {
			claims[k] = v
		}
		resp := send(t, t.Context(), http.MethodPost, g.MCP+"/mcp/crm", p.Token(t, public+"/mcp/crm", 10*time.Minute, claims), `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+tool+`"}}`)
		b := make([]byte, 4096)
		n, _ := resp.Body.Read(b)
		return resp, string(b[:n])
	}
	check := func(name string, g *testenv.Gateway, tool string, age time.Duration, more map[string]any, status int, challenge string) {
		t.Helper()
		resp, body := ask(g, tool, age, more)
		if resp.StatusCode != status || resp.Header.Get("Www-Authenticate") != challenge {
			t.Errorf("%s: %d, challenge %q: %s", name, resp.StatusCode, resp.Header.Get("Www-Authenticate"), body)
		}
		if status == 401 && !strings.Contains(body, "reauthentication_required") || status == 403 && !strings.Contains(body, "insufficient_scope") {
			t.Errorf("%s: %s", name, body)
		}
		if reached := len(seen) > 0; reached != (status == 200 && !strings.Contains(body, "error")) {
			t.Errorf("%s: reached the server: %t", name, reached)
		}
		for len(seen) > 0 {
			<-seen
		}
	}
	g := steps(t, p, upstream, "sensitive_actions")
	check("a fresh login", g, "transfer", time.Minute, nil, 200, "")
	check("an old login", g, "transfer", time.Hour, nil, 401, login)
	check("a weak login", g, "transfer", 0, map[string]any{"acr": "pwd"}, 401, login)
	check("an old login, for a harmless tool", g, "echo", time.Hour, nil, 200, "")
	check("a scope that is missing", g, "pay", 0, nil, 403, `Bearer error="insufficient_scope", scope="pay mcp"`+where)
	check("the scope", g, "pay", 0, map[string]any{"scope": "pay"}, 200, "")
	check("a scope that would not help", g, "drop", 0, nil, 200, "")

	all := steps(t, p, upstream, "all_actions")
	check("an old login", all, "echo", time.Hour, nil, 401, login)
	check("a fresh login", all, "echo", time.Minute, nil, 200, "")
}
