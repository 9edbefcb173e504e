package transcripts

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// server answers as the transcript says that is being replayed.
type server struct {
	mu   sync.Mutex
	say  message
	seen string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = upstream(r.Method, r.Header, string(b))
	for _, h := range s.say.headers {
		w.Header().Add(h[0], h[1])
	}
	code, err := strconv.Atoi(s.say.line)
	if err != nil {
		code = 500
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, s.say.body)
}

// TestThroughEnvoy replays every transcript through `sallyport run`, with one
// gateway for each configuration, and asks the same gateway's ext_authz about
// the request.
func TestThroughEnvoy(t *testing.T) {
	s := &server{}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	groups := make(map[string][]*transcript)
	for _, tr := range load(t) {
		groups[tr.part["config.yaml"]] = append(groups[tr.part["config.yaml"]], tr)
	}
	for config, list := range groups {
		address, path := freePort(t), filepath.Join(t.TempDir(), "sallyport.yaml")
		testenv.Write(t, path, strings.Replace(testenv.Config(t, "  - {name: one, url: "+h.URL+"}\n", config),
			`extproc: {address: "127.0.0.1:0"}`, `extproc: {address: "`+address+`"}`, 1))
		g := testenv.StartFile(t, path)
		service := dial(t, address)
		for _, tr := range list {
			t.Run(tr.name(), func(t *testing.T) {
				got := s.replay(t, g.MCP, tr)
				tr.compare(t, got)
				checkRequest(t, service, tr, got)
			})
		}
	}
}

func (s *server) replay(t *testing.T, url string, tr *transcript) outcome {
	t.Helper()
	s.mu.Lock()
	s.say, s.seen = parse(tr.part["reply"]), ""
	s.mu.Unlock()
	req, _ := tr.request(t, url)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("after %q: %w", b, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return outcome{client(resp.StatusCode, resp.Header, string(b)), s.seen}
}

// request builds the request that a transcript's client makes.
func (tr *transcript) request(t *testing.T, url string) (*http.Request, string) {
	t.Helper()
	m := parse(tr.part["request"])
	var body io.Reader
	if m.body != "" {
		body = strings.NewReader(m.body)
	}
	method, path, _ := strings.Cut(m.line, " ")
	if path == "" {
		path = "/mcp/one"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	first := make(map[string]bool)
	for _, h := range m.headers {
		switch {
		case h[0] == "host":
			req.Host = h[1]
		case first[h[0]]:
			req.Header.Add(h[0], h[1])
		default:
			req.Header.Set(h[0], h[1])
			first[h[0]] = true
		}
	}
	return req, m.body
}

func lower(s string) string { return strings.ToLower(s) }
