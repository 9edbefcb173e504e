package differential

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

// verdict is what the gateway made of a request.
type verdict struct {
	refused string // the reason; empty: it may pass
	method  string
	tool    string
	run     run    // what a server may execute, when the method is tools/call
	id      string // canonical
}

func (v verdict) String() string {
	switch {
	case v.refused != "":
		return "refused: " + v.refused
	case v.tool != "":
		return "judged: " + show(v.tool)
	}
	return "judged: " + v.method
}

// judge decides about a request as the hosts of the chain do.
func judge(t testing.TB, d *mcp.Decoder, c *oddity) verdict {
	h := headersOf(c)
	refuse := func(f *mcp.Fault) verdict { return verdict{refused: f.Reason} }
	if len(c.body) == 0 {
		return verdict{refused: mcp.ReasonMalformed}
	}
	if _, n := h.Get(mcp.HeaderSession); n > 1 {
		return verdict{refused: mcp.ReasonInvalid}
	}
	if _, n := h.Get("origin"); n > 0 {
		return verdict{refused: string(envelope.OriginNotAllowed)} // the guard's rule; all of the corpus are foreign
	}
	if f := mcp.CheckMedia(h); f != nil {
		return refuse(f)
	}
	m, f := d.Decode(mcp.ToServer, c.body)
	if f != nil {
		return refuse(f)
	}
	rev, f := mcp.Classify(h, &m, mcp.RevisionUnknown)
	if f != nil {
		return refuse(f)
	}
	if f := d.CheckMethod(&m, rev); f != nil {
		return refuse(f)
	}
	v := verdict{method: m.Method}
	if m.IsResponse() {
		v.method = "a response"
	}
	var err error
	if v.id, err = canonical(m.ID); err != nil {
		t.Errorf("%s: judged id: %v", c.name, err)
	}
	if m.Method == "tools/call" {
		arguments, _ := mcp.Member(m.Params, "arguments")
		text, err := canonical(arguments)
		if err != nil {
			t.Errorf("%s: judged arguments: %v", c.name, err)
		}
		v.tool, v.run = m.Name, run{m.Name, text}
	}
	return v
}

type headers http.Header

func (h headers) Get(name string) (string, int) {
	v := http.Header(h).Values(name)
	if len(v) == 0 {
		return "", 0
	}
	return v[0], len(v)
}

// Each implements guard.Headers.
func (h headers) Each(visit func(name string, value []byte)) {
	for name, lines := range h {
		for _, v := range lines {
			visit(strings.ToLower(name), []byte(v))
		}
	}
}

func headersOf(c *oddity) headers {
	h := make(http.Header)
	for _, l := range c.headers {
		name, value, _ := strings.Cut(l, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return headers(h)
}

// reply is what came back for a request.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post writes a request byte for byte, since HTTP clients repair what is odd.
func post(target string, lines []string, body []byte) (*reply, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", u.Path, u.Host, len(body))
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return exchange(u.Host, b.Bytes(), time.Minute)
}

// exchange writes bytes to a connection and reads the final response.
func exchange(host string, request []byte, patience time.Duration) (*reply, error) {
	conn, err := net.DialTimeout("tcp", host, time.Minute)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	go func() { _, _ = conn.Write(request) }() // the answer may come before all is read
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
	for err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(in, &http.Request{Method: http.MethodPost})
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && len(text) == 0 {
		return nil, err
	}
	return &reply{resp.StatusCode, resp.Header, text}, nil
}

// deliver sends a request to a peer, directly or through the gateway, and
// returns what the peer ran.
func deliver(t testing.TB, p *peer, target string, c *oddity) (*reply, []run) {
	r, err := post(target, c.headers, c.body)
	if err != nil {
		r = &reply{}
	}
	runs := p.drain(t)
	if len(runs) == 0 && r.status == http.StatusAccepted { // whatever it started may still run
		time.Sleep(30 * time.Millisecond)
		runs = p.drain(t)
	}
	return r, runs
}

func names(runs []run) string {
	if len(runs) == 0 {
		return "-"
	}
	var out []string
	for _, r := range runs {
		out = append(out, show(r.Tool))
	}
	return strings.Join(out, "+")
}

// show writes a name so that it stays on its line and can be seen.
func show(name string) string {
	for _, r := range name {
		if r <= ' ' || r > '~' {
			name = strconv.QuoteToASCII(name)
			break
		}
	}
	if len(name) > 60 {
		name = name[:60] + "..."
	}
	return cmp.Or(name, `""`)
}

// differs says how what a peer ran differs from what was judged.
func differs(v verdict, runs []run) string {
	switch {
	case len(runs) == 0:
		return "" // it refused by itself
	case v.refused != "":
		return "ran what was refused: " + names(runs)
	case len(runs) > 1:
		return "ran several tools: " + names(runs)
	case runs[0].Tool != v.run.Tool:
		return fmt.Sprintf("ran %s where %s was judged", runs[0].Tool, v)
	case runs[0].Arguments != v.run.Arguments && !(runs[0].Arguments == "{}" && (v.run.Arguments == "undefined" || v.run.Arguments == "null")) &&
		!(runs[0].Arguments == "undefined" && v.run.Arguments == "null"):
		return fmt.Sprintf("got the arguments %.200s where %.200s were judged", runs[0].Arguments, v.run.Arguments)
	}
	return ""
}

// answeredID is the id that the peer's answer carries, canonical.
func answeredID(r *reply) string {
	body := r.body
	if strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream") {
		_ = sse.NewSplitter(0).Push(r.body, func(e sse.Event) error {
			body = append([]byte(nil), e.Data...)
			return nil
		})
	}
	id, ok := mcp.Member(body, "id")
	if !ok || string(id) == "null" {
		return ""
	}
	text, err := canonical(id)
	if err != nil {
		return err.Error()
	}
	return text
}

// Every odd request is refused, or runs in every SDK as it was judged. The
// golden file says which, and what the SDKs do with it when no gateway stands
// before them.
func TestNoServerRunsWhatWasNotJudged(t *testing.T) {
	cases := load(t, "requests")
	if len(cases) < 150 {
		t.Errorf("the corpus has %d requests", len(cases))
	}
	all := peers(t)
	var servers strings.Builder
	for _, p := range all {
		fmt.Fprintf(&servers, "  - {name: %s, url: %q}\n", p.name, p.url)
	}
	g := testenv.Start(t, servers.String(), "")
	decoder := mcp.NewDecoder(mcp.Config{})

	direct := make([][]string, len(all)) // by peer and case: what it ran
	var wg sync.WaitGroup
	for i := range all {
		direct[i] = make([]string, len(cases))
		wg.Go(func() {
			for n := range cases {
				direct[i][n] = examine(t, decoder, &all[i], g.MCP+"/mcp/"+all[i].name, &cases[n])
			}
		})
	}
	wg.Wait()

	var out strings.Builder
	for n, c := range cases {
		if n == 0 || cases[n-1].file != c.file {
			fmt.Fprintf(&out, "\n# %s\n", c.file)
		}
		v := judge(t, decoder, &c)
		fmt.Fprintf(&out, "%-62s | %-30s", c.name, v)
		for i, p := range all {
			fmt.Fprintf(&out, " | %s: %s", p.name, direct[i][n])
		}
		out.WriteString("\n")
	}
	golden(t, "requests.txt", "What the gateway decides about each request, and what each SDK runs when it gets it directly.\n"+out.String())
	t.Logf("%d requests", len(cases))
}

// examine sends one request to one peer, directly and through the gateway,
// and returns what it ran directly.
func examine(t *testing.T, d *mcp.Decoder, p *peer, gateway string, c *oddity) string {
	v := judge(t, d, c)
	r, runs := deliver(t, p, p.url, c)
	what := names(runs)
	if v.refused == "" {
		if diff := differs(v, runs); diff != "" {
			t.Errorf("%s: %s: %s", c.name, p.name, diff)
		}
		if id := answeredID(r); len(runs) == 1 && id != "" && id != v.id {
			t.Errorf("%s: %s: answered the id %.100s where %.100s was judged", c.name, p.name, id, v.id)
		}
	}
	r, through := deliver(t, p, gateway, c)
	if diff := differs(v, through); diff != "" {
		t.Errorf("%s: %s, through the gateway: %s", c.name, p.name, diff)
	}
	if v.refused != "" && !isRefusal(r) {
		t.Errorf("%s: refused with %d %q %.200s, which is no JSON-RPC error", c.name, r.status, r.header.Get("Content-Type"), r.body)
	}
	// A media type is forwarded in the one spelling that every server reads.
	respelled := what == "-" && slices.ContainsFunc(c.headers, func(l string) bool {
		return strings.HasPrefix(strings.ToLower(l), "content-type:") && l != plain
	})
	if v.refused == "" && names(through) != what && !respelled {
		t.Errorf("%s: %s ran %s directly and %s through the gateway, which answered %d %.300s", c.name, p.name, what, names(through), r.status, r.body)
	}
	return what
}

// isRefusal reports whether clients can read the reply as a JSON-RPC error.
func isRefusal(r *reply) bool {
	_, failed := mcp.Member(r.body, "error")
	return failed && r.header.Get("Content-Type") == "application/json"
}
