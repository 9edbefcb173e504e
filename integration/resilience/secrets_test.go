package resilience

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// needles are what must not be found in anything that is written down.
type needles map[string]string

func (n needles) add(t testing.TB, name, secret string) string {
	t.Helper()
	if len(secret) < 12 {
		t.Fatalf("%s could be found by chance", name)
	}
	n[name] = secret
	return secret
}

// token adds what makes a token good.
func (n needles) token(t testing.TB, name, token string) string {
	t.Helper()
	part := strings.Split(token, ".")
	n.add(t, "the claims of "+name, part[1])
	n.add(t, "the signature of "+name, part[2])
	return token
}

func (n needles) look(t testing.TB, place, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing was written, so this shows nothing", place)
	}
	for name, secret := range n {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s holds %s: ...%s...", place, name, text[max(0, at-120):at])
		}
	}
}

// Logs and receipts are read by more people than may call a tool. Nothing that
// opens a door, and nothing of what was said, may be found in them, on whatever
// way a request ends.
func TestNoSecretIsWrittenDown(t *testing.T) {
	const public = "https://mcp.example.com"
	n := needles{}
	sent := make(chan http.Header, 100)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent <- r.Header.Clone()
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "upstream="+n["the server's cookie"])
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Mcp-Session-Id", n["a session"])
		if strings.Contains(string(b), "breaks") {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, n["an error page"])
			return
		}
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"%s"}]}}`, n["a result"])
	}))
	t.Cleanup(up.Close)
	n.add(t, "the server's cookie", "upstream-cookie-5d1f0c7e")
	n.add(t, "an error page", "stack trace with kd83hf7w0qmz")
	n.add(t, "a result", "the treasure lies under q0w9e8r7t6")
	session := n.add(t, "a session", "session-4f6a8b2c9d0e")
	t.Setenv("SALLYPORT_TEST_KEY", n.add(t, "a key of the configuration", "key-of-the-tokens-77aa88bb99cc"))
	who := testenv.StartIssuer(t)
	good := n.token(t, "a good token", who.Token(t, public+"/mcp/a", 10*time.Minute, nil))
	tokens := []string{
		good,
		n.token(t, "an expired token", who.Token(t, public+"/mcp/a", -time.Minute, nil)),
		n.token(t, "a token of another server", who.Token(t, public+"/mcp/b", 10*time.Minute, nil)),
		n.token(t, "a forged token", who.Forge(t, public+"/mcp/a", 10*time.Minute)),
		n.token(t, "a token of nobody", who.Token(t, public+"/mcp/a", 10*time.Minute, map[string]any{"iss": "https://elsewhere.example"})),
		n.token(t, "a token of an issuer that is down", who.Token(t, public+"/mcp/a", 10*time.Minute, map[string]any{"iss": "http://127.0.0.1:9"})),
		n.add(t, "an opaque token", "opaque-9z8y7x6w5v4u3t"),
	}
	dir := t.TempDir()
	access := filepath.Join(dir, "access.log")
	text := testenv.Config(t, "  - {name: a, url: "+up.URL+"}\n", fmt.Sprintf(`log: {level: debug}
identity_framework: {token_lifetime: "1-15 minutes"}
guards:
  dlp: {key: "env:SALLYPORT_TEST_KEY", to_client: {pii: tokenise}, to_server: {secret: alert}}
  identity:
    public_url: %s
    issuers: [{url: %q}, {url: "http://127.0.0.1:9"}]
`, public, who.URL))
	kept := filepath.Join(dir, "receipts.jsonl")
	for _, r := range [][2]string{
		{"authentication: {method: none}", "authentication: {method: JWT}"},
		{"envoy: {", "envoy: {access_log: " + access + ", "},
		{"receipts: {", "receipts: {path: " + kept + "}\n#"},
	} {
		text = strings.Replace(text, r[0], r[1], 1)
	}
	path := filepath.Join(dir, "sallyport.yaml")
	testenv.Write(t, path, text)
	g := testenv.StartFile(t, path)

	secret := n.add(t, "an argument", "hunter2-correct-horse-battery")
	n.add(t, "a cookie", "cookie-1a2b3c4d5e6f")
	n.add(t, "a proxy's password", "cHJveHk6cGFzc3dvcmQtMTIz")
	n.add(t, "an API key", "api-key-0f9e8d7c6b5a")
	n.add(t, "a token in the query", "query-token-6k5j4h3g2f")
	body := func(method, name string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{"name":%q,"arguments":{"password":%q}}}`, method, name, secret)
	}
	for _, token := range tokens {
		for _, scheme := range []string{"Bearer ", "Basic ", ""} {
			for _, b := range []string{body("tools/call", "read"), body("tools/call", "breaks"), body("tools/destroy", "read"), secret, ""} {
				ask(t, n, g.MCP+"/mcp/a", scheme+token, session, b)
				ask(t, n, g.MCP+"/mcp/a?access_token="+n["a token in the query"], scheme+token, session, b)
			}
		}
	}
	if len(sent) == 0 {
		t.Error("no request reached the server, so this shows little")
	}
	for len(sent) > 0 {
		h := fmt.Sprint(<-sent)
		for name, secret := range n {
			if name != "a session" && strings.Contains(h, secret) {
				t.Errorf("the server got %s", name)
			}
		}
	}
	// A secret that stands where its reference belongs is not repeated either.
	testenv.Write(t, path, strings.Replace(text, "env:SALLYPORT_TEST_KEY", n.add(t, "a key in the configuration", "pasted-key-aa11bb22cc33"), 1))
	testenv.Eventually(t, time.Minute, "a word about the configuration", func() bool {
		return statusOf(t, g.Admin).Config.Error != ""
	})
	testenv.Write(t, path, text)
	testenv.Eventually(t, time.Minute, "the repair", func() bool { return statusOf(t, g.Admin).Config.Error == "" })

	for place, file := range map[string]string{"the access log": access, "the receipts": kept} {
		testenv.Eventually(t, time.Minute, "lines in "+place, func() bool {
			b, err := os.ReadFile(file)
			return err == nil && strings.Count(string(b), "\n") >= 100
		})
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n.look(t, place, string(b))
	}
	for _, p := range []string{"/v1/status", "/metrics"} {
		n.look(t, p, g.Get(t, p))
	}
	n.look(t, "the log", g.Log())
}

// ask sends a request full of secrets, and reads the answer.
func ask(t testing.TB, n needles, url, authorization, session, body string) {
	t.Helper()
	testenv.Post(t, url, body, "Mcp-Session-Id", session, "Authorization", authorization,
		"Cookie", "sid="+n["a cookie"], "Proxy-Authorization", "Basic "+n["a proxy's password"], "X-Api-Key", n["an API key"])
}
