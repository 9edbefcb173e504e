package telemetry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// line is one of the access log.
type line struct {
	Path    string
	Status  int
	Details string
	Place   string `json:"traceparent"`
	Server  string `json:"route"`
	Allowed struct{ Exchange, Method, Name string }
	Refused struct{ Exchange, Decision, Reason, Server, Method, Name string }
}

func lines(t testing.TB, path string) (out []line, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		var one line
		if !strings.HasSuffix(l, "\n") {
			break // it is being written
		}
		if err := json.Unmarshal([]byte(l), &one); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		out = append(out, one)
	}
	return out, string(b)
}

// secretive is a transport that sends what no log may hold.
type secretive struct{}

func (secretive) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("authorization", "Bearer very-secret-token")
	r.Header.Set("cookie", "very-secret-cookie")
	for _, name := range []string{"x-sallyport-exchange", "x-sallyport-method", "x-sallyport-name", "x-sallyport-id"} {
		r.Header.Set(name, "forged")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestTheAccessLogSaysWhatWasDecided(t *testing.T) {
	asJSON, asEvents := startUpstream(t, false), startUpstream(t, true)
	path := filepath.Join(t.TempDir(), "access.log")
	conf := testenv.Config(t, fmt.Sprintf("  - {name: s0, url: %q}\n  - {name: s1, url: %q}\n", asJSON.url, asEvents.url),
		"guards:\n  quota: {rules: [{name: rare, by: [principal], tools: [rare], limit: \"1/hour\"}]}\n"+
			"telemetry: {otlp: {endpoint: \"http://"+startReceiver(t).address+"\"}, traces: {sample: 0.000001}}\n")
	conf = strings.Replace(conf, "envoy: {", "envoy: {access_log: "+path+", ", 1)
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, file, conf)
	g := testenv.StartFile(t, file)
	in := &instrumented{}
	for i := range 2 {
		s := client(t, fmt.Sprintf("%s/mcp/s%d", g.MCP, i), in)
		for _, tool := range []string{"echo", "rare", "rare"} {
			_ = call(t, s, tool, "very-secret-argument", nil)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.MCP+"/mcp/s0?token=very-secret-query", strings.NewReader(`{"very-secret-body":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("content-type", "application/json")
	resp, err := secretive{}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	// From here on only refusals.
	accepted := func() int { return strings.Count(g.Log(), "xds configuration accepted") }
	before := accepted()
	testenv.Write(t, g.Config, strings.Replace(conf, "envoy: {", "envoy: {access_log_of: refusals, ", 1))
	testenv.Eventually(t, time.Minute, "the configuration", func() bool {
		return accepted() > before
	})
	s := client(t, g.MCP+"/mcp/s1", in)
	_ = call(t, s, "fail", "x", nil)
	_ = call(t, s, "rare", "x", nil)

	var all []line
	var text string
	count := func(ok func(line) bool) (n int) {
		for _, l := range all {
			if ok(l) {
				n++
			}
		}
		return n
	}
	refused := func(l line) bool {
		return l.Refused.Reason == "quota_exceeded" && l.Refused.Decision == "deny" && l.Refused.Name == "rare" && l.Refused.Method == "tools/call" && len(l.Refused.Exchange) == 32 && l.Refused.Server != ""
	}
	testenv.Eventually(t, time.Minute, "the access log", func() bool { // Envoy writes it every ten seconds, or when it is long
		all, text = lines(t, path)
		return count(refused) == 4 && strings.Contains(text, "s0") && count(func(l line) bool { return l.Refused.Reason == "unknown_server" }) == 1
	})
	if n := count(func(l line) bool {
		return l.Allowed.Name == "echo" && l.Allowed.Method == "tools/call" && len(l.Allowed.Exchange) == 32 && l.Refused.Reason == "" && l.Status == 200
	}); n != 2 {
		t.Errorf("%d calls that went upstream:\n%s", n, text)
	}
	if n := count(func(l line) bool { return l.Allowed.Name == "fail" }); n > 0 {
		t.Errorf("a line of what was served after it was to be left out:\n%s", text)
	}
	for _, l := range all {
		if l.Allowed.Exchange == "" && l.Refused.Exchange == "" {
			t.Errorf("a line without a verdict: %+v", l)
		}
		if strings.HasPrefix(l.Place, "00-") != (l.Allowed.Exchange != "") || l.Allowed.Exchange == "" && l.Place != "" {
			t.Errorf("the server was told %q: %+v", l.Place, l)
		}
	}
	if strings.Contains(text, "very-secret") || strings.Contains(text, "forged") {
		t.Errorf("secrets, or a client's own words, in the access log:\n%s", text)
	}
	kept := g.Receipts(t)
	for _, l := range all {
		if id := l.Allowed.Exchange + l.Refused.Exchange; !strings.Contains(kept, id) {
			t.Errorf("no receipt of %s", id)
		}
	}
}
