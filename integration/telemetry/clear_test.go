package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// A client reads resources by URIs with secrets in them, in clear, escaped and in odd
// forms, of which some are let go and some are refused: the server gets them as they
// are, and nothing that the gateway or its Envoy writes has any of them.
func TestWhatIsSecretInAURIIsWrittenNowhere(t *testing.T) {
	reached := make(chan string, 1000)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		reached <- string(b) + r.Header.Get("mcp-name") + " " + r.Header.Get("x-sallyport-name")
		w.Header().Set("content-type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}}`)
	}))
	t.Cleanup(web.Close)
	r := startReceiver(t)
	dir := t.TempDir()
	secret, access := filepath.Join(dir, "token"), filepath.Join(dir, "access.log")
	testenv.Write(t, secret, token)
	conf := testenv.Config(t, fmt.Sprintf("  - {name: s0, url: %q}\n  - {name: s1, url: %[1]q}\n", web.URL), fmt.Sprintf(tracing, r.address, secret, "1", "sampled")+
		"  egress: {mode: shadow, allow: [{host: files.example}]}\n  dlp: {rules: [{types: [secret], servers: [s1], action: allow}]}\nlog: {level: debug}\n")
	conf = strings.Replace(conf, "envoy: {", "envoy: {access_log: "+access+", ", 1)
	file := filepath.Join(dir, "sallyport.yaml")
	testenv.Write(t, file, conf)
	g := testenv.StartFile(t, file)

	const planted = "Zq7planted"
	uris := []string{
		"https://ada:" + planted + "@files.example/a",
		"https://ada:" + planted + "@elsewhere.example/a", // egress has something to say
		"https://elsewhere.example/a?token=" + planted,
		"crm://h/a?token=%5Aq7planted",
		"crm://h/a#" + planted,
		"crm://h/a/b;session=" + planted,
		"crm://h/a%3Ftoken=" + planted,
		"data:text/plain," + planted,
		"mailto:" + planted + "@mail.example",
		`https:\\ada:` + planted + `@files.example`,
		planted,
		"crm://h/a?key=AKIA4EXAMPLEZQ7PLAN7&x=" + planted, // dlp refuses it
		"crm://h/plain",
	}
	for round := range 6 {
		for _, uri := range uris {
			for i, method := range []string{"resources/read", "resources/subscribe", "resources/read", "resources/subscribe"} {
				body := fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{"uri":%q}}`, method, uri)
				answer := testenv.Post(t, fmt.Sprintf("%s/mcp/s%d", g.MCP, i/2), body, "Mcp-Protocol-Version", "2025-11-25").Text
				if round == 0 && strings.Contains(answer, "planted") {
					t.Errorf("%s: the answer repeats it: %s", uri, answer)
				}
			}
		}
	}
	var all strings.Builder
	testenv.Eventually(t, time.Minute, "the access log", func() bool { // Envoy writes it when it is long
		_, text := lines(t, access)
		return strings.Count(text, `"name":"crm://h/plain"`) > 3 && strings.Contains(text, `"reason":"secret_blocked"`)
	})
	testenv.Eventually(t, time.Minute, "the traces", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		all.Reset()
		fmt.Fprintf(&all, "%+v", r.spans)
		return strings.Contains(all.String(), "crm://h/plain") && strings.Contains(all.String(), "https://[userinfo]@files.example/a")
	})
	_, log := lines(t, access)
	for where, text := range map[string]string{"receipts": g.Receipts(t), "access log": log, "traces": all.String(), "log": g.Log(), "metrics": g.Get(t, "/metrics"), "status": g.Get(t, "/v1/status")} {
		for _, word := range []string{"planted", "PLAN7", "AKIA4"} {
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("%s has it: %s", where, text[max(0, at-300):min(len(text), at+100)])
			}
		}
	}
	for _, want := range []string{`"name":"https://[userinfo]@files.example/a","name_hmac":"`, `"name":"crm://h/[path]`, `"name":"data:[opaque]"`, `"name":"crm://h/plain",`, `"name":"crm://h/a?[query]"`, `"name":"https://[userinfo]@files.example/[path]","name_hmac":"`} {
		if !strings.Contains(g.Receipts(t), want) {
			t.Errorf("no receipt has %s", want)
		}
	}
	if !strings.Contains(log, `https://[userinfo]@files.example/a`) {
		t.Error("the access log says nothing of the URI")
	}
	whole := false
	for len(reached) > 0 {
		whole = strings.Contains(<-reached, planted) || whole
	}
	if !whole {
		t.Error("the server did not get what was asked for")
	}
}
