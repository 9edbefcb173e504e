package differential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

// view is what a reply to a tool call comes to for whoever called.
type view struct {
	failed     bool // a JSON-RPC error
	content    []string
	isError    bool
	structured string
}

func (v view) String() string {
	if v.failed {
		return "error"
	}
	var parts []string
	for _, c := range v.content {
		parts = append(parts, show(c))
	}
	s := "says " + strings.Join(parts, ", ")
	if len(parts) == 0 {
		s = "says nothing"
	}
	if v.isError {
		s += ", as an error"
	}
	if v.structured != "undefined" && v.structured != "" {
		s += ", with " + show(v.structured)
	}
	return s
}

// seen is what a reply holds, read strictly, as the gateway reads it.
type seen struct {
	answer *view    // to the request; nil when there is none
	reason string   // that the gateway gives, when answer is its refusal
	notes  []string // canonical data of log messages before it
	asks   int      // requests of the server before it
	flaw   string   // why no more can be read
}

// read reads a body with the decoder and the splitter of the gateway.
func read(d *mcp.Decoder, media string, body, id []byte) seen {
	var s seen
	if media != "text/event-stream" {
		s.message(d, body, id)
		return s
	}
	_ = sse.NewSplitter(0).Push(body, func(e sse.Event) error {
		if e.IsMessage() && len(e.Data) > 0 && s.answer == nil && s.flaw == "" {
			s.message(d, e.Data, id)
		}
		return nil
	})
	return s
}

func (s *seen) message(d *mcp.Decoder, text, id []byte) {
	m, f := d.Decode(mcp.ToClient, text)
	switch {
	case f != nil:
		s.flaw = f.Detail
	case m.Kind == mcp.Request:
		s.asks++
	case m.Method == "notifications/message":
		data, _ := mcp.Member(m.Params, "data")
		note, _ := canonical(data)
		s.notes = append(s.notes, note)
	case !m.IsResponse():
	case !mcp.SameID(m.ID, id) && !(m.Kind == mcp.Failure && len(m.ID) == 0):
		s.flaw = "another id"
	default:
		s.answer, s.reason = viewOf(&m)
	}
}

func viewOf(m *mcp.Message) (*view, string) {
	if m.Kind == mcp.Failure {
		reason := ""
		if data, ok := mcp.Member(m.Error, "data"); ok && len(data) > 0 && data[0] == '{' {
			lexeme, _ := mcp.Member(data, "reason")
			reason, _ = mcp.Unquote(lexeme)
		}
		return &view{failed: true}, reason
	}
	// A map has the keys as they are, where a struct would fold their case.
	var result map[string]any
	dec := json.NewDecoder(bytes.NewReader(m.Result))
	dec.UseNumber() // not all numbers fit
	if err := dec.Decode(&result); err != nil {
		return nil, ""
	}
	v := &view{structured: "undefined"}
	if s, ok := mcp.Member(m.Result, "structuredContent"); ok && string(s) != "null" {
		v.structured, _ = canonical(s)
	}
	v.isError, _ = result["isError"].(bool)
	blocks, _ := result["content"].([]any)
	for _, b := range blocks {
		block, _ := b.(map[string]any)
		text, _ := block["text"].(string)
		if block["type"] != "text" {
			text = fmt.Sprintf("(%v)", block["type"])
		}
		v.content = append(v.content, text)
	}
	return v, ""
}

// ruling is what the gateway made of a reply.
type ruling struct {
	status int
	seen   seen // in what it released
	whole  bool // it released the body as it came
}

func (r *ruling) String() string {
	switch {
	case r.seen.reason != "":
		return "refused: " + r.seen.reason
	case r.seen.answer != nil:
		return "passes: " + r.seen.answer.String()
	}
	return "passes: no answer"
}

func (r *ruling) refused() bool { return r.seen.reason != "" }

// rule gets a reply through the gateway and reads what was released of it.
func rule(t *testing.T, d *mcp.Decoder, gateway string, n int, c *oddity) *ruling {
	era, meta := "legacy", ""
	if c.modern {
		era, meta = "modern", strings.ReplaceAll(functions["meta"].(func() string)(), "\n", "")+","
	}
	lines := slices.Clone(eras[era])
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "Mcp-Name: safe", "Mcp-Name: odd", 1)
	}
	const id = `7`
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{%s"name":"odd","arguments":{"case":%d}}}`, id, meta, n)
	r, err := post(gateway, lines, []byte(body))
	if err != nil {
		t.Errorf("%s: no reply through the gateway: %v", c.name, err)
		return &ruling{}
	}
	for _, name := range []string{"Set-Cookie", "Location", "Www-Authenticate", "Content-Encoding", "Alt-Svc", "Refresh", "Link", "Access-Control-Allow-Origin"} {
		if v := r.header.Values(name); len(v) > 0 {
			t.Errorf("%s: the upstream's %s reached the client: %q", c.name, name, v)
		}
	}
	media := r.header.Get("Content-Type")
	out := &ruling{r.status, read(d, media, r.body, []byte(id)), bytes.Equal(r.body, c.bodyFor([]byte(id)))}
	if n := len(r.header.Values("Content-Type")); n != 1 || media != "application/json" && media != "text/event-stream" {
		t.Errorf("%s: released as %q", c.name, r.header.Values("Content-Type"))
	}
	if out.seen.flaw != "" {
		t.Errorf("%s: released what the decoder does not read, %s: %.300q", c.name, out.seen.flaw, r.body)
	}
	if media == "text/event-stream" && (bytes.ContainsRune(r.body, '\r') || bytes.Contains(r.body, []byte("\ufeff"))) {
		t.Errorf("%s: released a stream that clients split differently: %.300q", c.name, r.body)
	}
	// What goes out is what came in, read with the same decoder, or a refusal.
	came := read(d, c.media(), c.bodyFor([]byte(id)), []byte(id))
	if c.framing != "none" && !out.refused() && out.seen.answer != nil && (came.answer == nil || came.answer.String() != out.seen.answer.String()) {
		t.Errorf("%s: released %s where %v came", c.name, out.seen.answer, came.answer)
	}
	return out
}

// against says how what a client got directly and through the gateway breaks
// the rule that it gets what was judged, or a refusal that it can read.
func (r *ruling) against(direct, through *handed) (complaints []string) {
	bad := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	judged := "error"
	if a := r.seen.answer; a != nil {
		judged = a.String()
	}
	switch {
	case r.refused():
		if through.Outcome != "error" || through.Error == "" {
			bad("the refusal reads as %s", through.text())
		}
		if !through.Usable {
			bad("the connection is dead after the refusal")
		}
	case r.seen.answer == nil:
		if through.Outcome == "result" {
			bad("has a result that was not judged: %s", through.text())
		}
	default:
		if through.Outcome == "result" && through.view() != judged {
			bad("reads %s where %s was judged", through.text(), judged)
		}
		// Where the gateway left something out, or wrote a stream in another
		// way, that was to keep the client from reading it like this.
		if r.whole && direct.Outcome == "result" && direct.view() != judged {
			bad("reads %s directly where %s was judged", direct.text(), judged)
		}
		if direct.Outcome == "result" && through.Outcome != "result" {
			bad("gets %s through the gateway (%s) and %s directly", through.text(), through.Error, direct.text())
		}
		if direct.Usable && !through.Usable {
			bad("the connection is dead through the gateway only")
		}
	}
	for _, n := range through.Notes {
		if !slices.Contains(r.seen.notes, fmt.Sprint(n)) {
			bad("has a note that was not judged: %v", n)
		}
	}
	if through.Asked > r.seen.asks {
		bad("answered %d requests where %d were judged", through.Asked, r.seen.asks)
	}
	return complaints
}

// Every odd reply is refused, readably and without harm to the connection, or
// every SDK hands its caller what was judged, which is what came.
func TestNoClientHandsOverWhatWasNotJudged(t *testing.T) {
	cases := load(t, "replies")
	if len(cases) < 60 {
		t.Errorf("the corpus has %d replies", len(cases))
	}
	all, hangs := callers(t), known(t, cases)
	up := startUpstream(t, cases)
	g := testenv.Start(t, fmt.Sprintf("  - {name: odd, url: %q}\n", up.url), "")
	gateway := g.MCP + "/mcp/odd"
	decoder := mcp.NewDecoder(mcp.Config{})

	rulings := make([]*ruling, len(cases))
	for n := range cases {
		rulings[n] = rule(t, decoder, gateway, n, &cases[n])
	}
	got := make([][][2]handed, len(all)) // by client and case: directly, through the gateway
	var wg sync.WaitGroup
	for i, who := range all {
		got[i] = make([][2]handed, len(cases))
		slots := make(chan struct{}, 8) // connections at a time
		for n := range cases {
			era, limit := "legacy", grace
			if cases[n].modern {
				era = "modern"
			}
			if hangs(n, who.name) {
				limit = patience
			}
			if !slices.Contains(who.eras, era) {
				continue
			}
			for way, url := range []string{up.url, gateway} {
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					j := job{Key: fmt.Sprintf("%s %d %d", who.name, n, way), SDK: who.name, Era: era, URL: url, Case: n, Limit: limit}
					got[i][n][way] = who.do(t, j)
				})
			}
		}
	}
	wg.Wait()

	var out strings.Builder
	for n, c := range cases {
		if n == 0 || cases[n-1].file != c.file {
			fmt.Fprintf(&out, "\n# %s\n", c.file)
		}
		fmt.Fprintf(&out, "%-62s | %-36s", c.name, rulings[n])
		for i, who := range all {
			h := got[i][n]
			if h[0].Outcome == "" {
				continue // it does not speak the era
			}
			for _, what := range rulings[n].against(&h[0], &h[1]) {
				t.Errorf("%s: %s: %s (gateway: %s)", c.name, who.name, what, rulings[n])
			}
			h[0].Notes, h[0].Asked = nil, 0 // what comes beside the answer may come after it
			fmt.Fprintf(&out, " | %s: %s", who.name, h[0].text())
			if !h[0].Usable {
				out.WriteString(", dead")
			}
		}
		out.WriteString("\n")
	}
	golden(t, "replies.txt", "What the gateway decides about each reply to a tool call, and what each SDK hands its caller when it gets it directly;\n"+
		"\"dead\" means that the connection did not work any more.\n"+out.String())
	t.Logf("%d replies", len(cases))
}

// patience is after how many milliseconds the odd call of a client that is known to
// hang is left waiting. Any other has longer, on a busy machine, and takes what it needs.
const patience, grace = 2000, 10_000

// known reads from the golden file which client hangs, or has a dead connection, after
// which case.
func known(t *testing.T, cases []oddity) func(n int, client string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "out", "replies.txt"))
	if err != nil && !*update {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " | ") {
			lines = append(lines, line)
		}
	}
	return func(n int, client string) bool {
		if *update || n >= len(lines) || !strings.HasPrefix(lines[n], cases[n].name) {
			return true // nothing is known yet
		}
		_, cell, _ := strings.Cut(lines[n], " | "+client+": ")
		cell, _, _ = strings.Cut(cell, " | ")
		cell = strings.TrimSpace(cell)
		return cell == "" || strings.HasPrefix(cell, "hang") || strings.HasSuffix(cell, ", dead")
	}
}
