package transcripts

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/integration/testenv"
)

var update = flag.Bool("update", false, "rewrite the expected parts of the transcripts")

// transcript is one file; its parts are those of the package's documentation.
type transcript struct {
	path    string
	archive *txtar.Archive
	part    map[string]string
}

var parts = []string{"config.yaml", "guard", "before", "request", "reply", "client", "upstream", "decision", "closing"}

func load(t *testing.T) []*transcript {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var out []*transcript
	for _, p := range paths {
		a, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		tr := &transcript{path: p, archive: a, part: make(map[string]string)}
		for _, f := range a.Files {
			if _, twice := tr.part[f.Name]; twice || !slices.Contains(parts, f.Name) {
				t.Fatalf("%s: part %s is unknown or there twice", p, f.Name)
			}
			tr.part[f.Name] = string(f.Data)
		}
		if len(strings.TrimSpace(string(a.Comment))) == 0 || tr.part["request"] == "" {
			t.Fatalf("%s does not say why it exists, or has no request", p)
		}
		out = append(out, tr)
	}
	return out
}

func (tr *transcript) name() string { return strings.TrimSuffix(filepath.Base(tr.path), ".txtar") }

// message is a head line, headers and a body.
type message struct {
	line    string
	headers [][2]string
	body    string
}

// parse reads a part: a line such as POST or 200, header lines, an empty line,
// and the body without the line end of the file.
func parse(text string) message {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	m := message{line: lines[0], body: body}
	if !strings.HasPrefix(m.header("content-type", lines[1:]), "text/event-stream") {
		m.body = strings.TrimSuffix(body, "\n")
	}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		m.headers = append(m.headers, [2]string{strings.ToLower(name), strings.TrimSpace(value)})
	}
	return m
}

func (message) header(name string, lines []string) string {
	for _, l := range lines {
		if k, v, _ := strings.Cut(l, ":"); strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// request builds the request that a transcript's client makes.
func (tr *transcript) request(t *testing.T, url string, who *testenv.Issuer) (*http.Request, string) {
	t.Helper()
	m := parse(tr.part["request"])
	m.body = fill(t, who, m.body)
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
		value := fill(t, who, h[1])
		switch {
		case h[0] == "host":
			req.Host = value
		case first[h[0]]:
			req.Header.Add(h[0], value)
		default:
			req.Header.Set(h[0], value)
			first[h[0]] = true
		}
	}
	return req, m.body
}

// outcome is what the client got, what reached the server, and what was
// decided.
type outcome struct{ client, upstream, decision, closing string }

var (
	exchange = regexp.MustCompile(`"exchange":"([0-9a-f]{32})"`)
	ticket   = regexp.MustCompile(`"ticket":{"id":"[0-9a-f]{32}"`)
	passing  = regexp.MustCompile(`(\bin|\bRetry-After:) (\d+ m?s\b|2\d\n|30\n)`) // what depends on how long the test takes
)

func client(who *testenv.Issuer, status int, h http.Header, body string) string {
	s := fmt.Sprintf("%d\n", status)
	for _, name := range []string{"Content-Type", "Mcp-Session-Id", "Allow", "Retry-After", "Www-Authenticate", "Location", "Set-Cookie"} {
		if v := h.Get(name); v != "" && (name != "Content-Type" || body != "") {
			s += name + ": " + v + "\n"
		}
	}
	s += "\n" + exchange.ReplaceAllString(body, `"exchange":"*"`)
	s = ticket.ReplaceAllString(s, `"ticket":{"id":"*"`)
	s = passing.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasSuffix(m, "\n") {
			return "Retry-After: *\n"
		}
		return "in * s"
	})
	return named(who, strings.ReplaceAll(s, who.URL, "$ISSUER"))
}

// upstream shows what reached the server: nothing, or the method, the headers
// of the protocol and the body.
func upstream(method string, h http.Header, body string) string {
	s := method + "\n"
	for _, name := range []string{"Accept-Encoding", "Authorization", "Content-Type", "Cookie", "Last-Event-Id", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id", "X-Sallyport-Version", "X-User"} {
		if v := h.Get(name); v != "" {
			s += name + ": " + v + "\n"
		}
	}
	return s + "\n" + body
}

// compare checks the outcome, or writes it down with -update.
func (tr *transcript) compare(t *testing.T, got outcome) {
	t.Helper()
	if len(got.decision) == 0 && !strings.Contains(tr.part["request"], "/.well-known/") {
		t.Error("nothing was written down")
	}
	if *update {
		tr.set("client", got.client)
		tr.set("upstream", got.upstream)
		tr.set("decision", got.decision)
		if got.closing != "" {
			tr.set("closing", got.closing)
		}
		if err := os.WriteFile(tr.path, txtar.Format(tr.archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, c := range []struct{ name, got string }{{"client", got.client}, {"upstream", got.upstream}, {"decision", got.decision}, {"closing", got.closing}} {
		if want := tr.part[c.name]; strings.TrimRight(c.got, "\n") != strings.TrimRight(want, "\n") {
			t.Errorf("%s, got:\n%s\nwant:\n%s", c.name, c.got, want)
		}
	}
}

func (tr *transcript) set(name, text string) {
	for i := range tr.archive.Files {
		if tr.archive.Files[i].Name == name {
			tr.archive.Files[i].Data = []byte(text)
			return
		}
	}
	tr.archive.Files = append(tr.archive.Files, txtar.File{Name: name, Data: []byte(text)})
}
