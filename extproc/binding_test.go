package extproc

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
)

// mirror seals by turning an id round, with what it is of in front, and seals
// nothing that is long.
type mirror struct{}

func (mirror) Seal(kind binding.Kind, _ *guard.Exchange, id string) (string, bool) {
	b := []byte{'0' + byte(kind), '-'}
	for i := len(id) - 1; i >= 0; i-- {
		b = append(b, id[i])
	}
	return string(b), id != "" && len(id) < 20
}

func (m mirror) Open(kind binding.Kind, x *guard.Exchange, text string) (string, bool) {
	prefix := string([]byte{'0' + byte(kind), '-'})
	rest, ok := strings.CutPrefix(text, prefix)
	id, _ := m.Seal(kind, x, rest)
	return strings.TrimPrefix(id, prefix), ok
}

func bound(t testing.TB) *fixture {
	f := newFixture(t)
	f.snap.Binding = mirror{}
	return f
}

func TestASessionIsSealedAroundItsVersion(t *testing.T) {
	f := bound(t)
	two := func(more ...string) []string {
		return append([]string{":method", "POST", ":path", "/mcp/two", ":authority", "localhost", "content-type", "application/json"}, more...)
	}
	e := f.asked(t, requestHeaders(false, two()...), callBody)
	g := e.play(responseHeaders(false, ":status", "200", "content-type", "application/json", "mcp-session-id", "s1", "x-sallyport-version", "v2"), responseBody(goodReply, true))
	if !strings.Contains(g.headers, "mcp-session-id=1-1s~2v") {
		t.Fatalf("the client gets %s", g.headers)
	}
	e = f.dial(t)
	e.say(requestHeaders(false, two("mcp-session-id", "1-1s~2v")...))
	h := e.hear().GetRequestHeaders().GetResponse()
	got := map[string]string{}
	for _, o := range h.GetHeaderMutation().GetSetHeaders() {
		got[o.GetHeader().GetKey()] = string(o.GetHeader().GetRawValue())
	}
	if got["mcp-session-id"] != "s1" || got["x-sallyport-version"] != "v2" || !h.GetClearRouteCache() {
		t.Errorf("upstream goes %v, rerouted %v", got, h.GetClearRouteCache())
	}
}

func TestWhatCannotBeBoundIsNotGivenOut(t *testing.T) {
	long := strings.Repeat("secret", 10)
	f := bound(t)
	e := f.asked(t, post(), callBody)
	g := e.play(responseHeaders(false, ":status", "200", "content-type", "application/json", "mcp-session-id", long))
	if !g.immediate || g.status != 502 || strings.Contains(g.headers+g.body, "secret") {
		t.Errorf("a session that cannot be sealed: %+v", g)
	}
	for name, id := range map[string]string{"too long": long, "no header value": "secret\x01"} {
		e := bound(t).asked(t, post(), callBody)
		g := e.play(responseHeaders(false, ":status", "200", "content-type", "text/event-stream"),
			responseBody("id: "+id+"\ndata:\n\nid: "+id+"\ndata: "+progress+"\n\nid: e1\ndata: "+goodReply+"\n\n", true))
		if want := "data: " + progress + "\n\nid: 2-1e\ndata: " + goodReply + "\n\n"; g.body != want {
			t.Errorf("an event id that is %s: %q", name, g.body)
		}
	}
	// Nobody could resume a stream without ids, so its early end is told.
	e = bound(t).asked(t, post(), callBody)
	if g := e.play(responseHeaders(false, ":status", "200", "content-type", "text/event-stream"), responseBody("id: "+long+"\ndata: "+progress+"\n\n", true)); !strings.Contains(g.body, `"error"`) {
		t.Errorf("a stream that ends too early: %q", g.body)
	}
}
