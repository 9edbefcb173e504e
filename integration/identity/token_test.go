package identity

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

const public = "https://mcp.example.com"

// gateway runs the gateway in front of servers with tokens of p required.
func gateway(t testing.TB, p *testenv.Issuer, servers string) *testenv.Gateway {
	t.Helper()
	config := strings.Replace(testenv.Config(t, servers, ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config += fmt.Sprintf("identity_framework: {token_lifetime: \"1-15 minutes\"}\nguards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q, scopes: [mcp]}]\n", public, p.URL)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	return testenv.StartFile(t, path)
}

type withToken string

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(w))
	return http.DefaultTransport.RoundTrip(r)
}

func TestOnlyATokenForThisServerOpensIt(t *testing.T) {
	p := startIssuer(t)
	seen := make(chan http.Header, 100)
	s := sdk.NewServer(&sdk.Implementation{Name: "echo", Version: "1"}, nil)
	sdk.AddTool(s, &sdk.Tool{Name: "echo"}, func(context.Context, *sdk.CallToolRequest, struct{}) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "hello"}}}, nil, nil
	})
	inner := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	g := gateway(t, p, "  - {name: crm, url: "+h.URL+"}\n  - {name: data, url: "+h.URL+"}\n")
	url := g.MCP + "/mcp/crm"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: url,
		HTTPClient: &http.Client{Transport: withToken(p.Token(t, public+"/mcp/crm", 10*time.Minute, nil))}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "echo"}); err != nil {
		t.Fatal(err)
	}
	for len(seen) > 0 {
		if h := <-seen; h.Get("Authorization") != "" {
			t.Error("the client's token went upstream")
		}
	}
	if r := g.ReceiptsWith(t, `"tools/call"`); !strings.Contains(r, `"subject":"ana"`) || !strings.Contains(r, `"agent":"agent-7"`) || !strings.Contains(r, `"tenant":"acme"`) {
		t.Errorf("receipts do not say who:\n%s", r)
	}

	forged := p.Token(t, public+"/mcp/crm", 10*time.Minute, nil)
	for name, token := range map[string]string{
		"no token": "", "for another server": p.Token(t, public+"/mcp/data", 10*time.Minute, nil),
		"for nobody": p.Token(t, "", time.Minute, nil), "expired": p.Token(t, public+"/mcp/crm", -time.Second, nil),
		"too long lived": p.Token(t, public+"/mcp/crm", time.Hour, nil), "forged": forged[:len(forged)-8] + "AAAAAAAA", "garbage": "x",
	} {
		t.Run(name, func(t *testing.T) {
			for verb, body := range map[string]string{http.MethodPost: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}`, http.MethodGet: "", http.MethodDelete: ""} {
				resp := send(t, ctx, verb, url, token, body)
				text, _ := io.ReadAll(resp.Body)
				challenge := resp.Header.Get("Www-Authenticate")
				if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, `resource_metadata="`+public+`/.well-known/oauth-protected-resource/mcp/crm"`) ||
					strings.Contains(challenge, "error=") == (token == "") || !strings.Contains(challenge, `scope="mcp"`) || !strings.Contains(string(text), `"reason":"unauthenticated"`) {
					t.Errorf("%s: %d %q %s", verb, resp.StatusCode, challenge, text)
				}
			}
		})
	}
	if len(seen) != 0 {
		t.Errorf("%d requests without a valid token reached the server", len(seen))
	}

	for path, resource := range map[string]string{"": public, "/mcp/crm": public + "/mcp/crm"} {
		resp := send(t, ctx, http.MethodGet, g.MCP+"/.well-known/oauth-protected-resource"+path, "", "")
		var m struct {
			Resource             string   `json:"resource"`
			AuthorizationServers []string `json:"authorization_servers"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != http.StatusOK || m.Resource != resource || len(m.AuthorizationServers) != 1 || m.AuthorizationServers[0] != p.URL {
			t.Errorf("metadata of %q: %d %+v %v", path, resp.StatusCode, m, err)
		}
	}
	if resp := send(t, ctx, http.MethodGet, g.MCP+"/.well-known/oauth-protected-resource/mcp/nobody", "", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("metadata of an unknown server: %d", resp.StatusCode)
	}
}

func send(t testing.TB, ctx context.Context, verb, url, token, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, verb, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// Nothing of a stranger's body is waited for.
func TestAStrangersBodyIsNotRead(t *testing.T) {
	p := startIssuer(t)
	g := gateway(t, p, "  - {name: crm, url: http://127.0.0.1:9}\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	endless, stop := io.Pipe()
	defer stop.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.MCP+"/mcp/crm", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 1000
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestAStreamEndsReadablyWhenItsTokenExpires(t *testing.T) {
	p := startIssuer(t)
	g := gateway(t, p, "  - {name: crm, url: "+watching(t)+"}\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	resp := send(t, ctx, http.MethodPost, g.MCP+"/mcp/crm", p.Token(t, public+"/mcp/crm", 4*time.Second, nil), `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"watch"}}`)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%d", resp.StatusCode)
	}
	var last string
	events := 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			last = data
			events++
		}
	}
	if err := lines.Err(); err != nil || events < 2 || !strings.Contains(last, `"id":"a"`) || !strings.Contains(last, "identity_expired") {
		t.Errorf("%d events, the last is %s; %v", events, last, err)
	}
}
