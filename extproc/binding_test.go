package extproc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/sealed"
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
	for _, words := range []string{"secret words", "secret\tid", "s\u00e9cret"} {
		e := newFixture(t).asked(t, post(), callBody)
		g := e.play(responseHeaders(false, ":status", "200", "content-type", "application/json", "mcp-session-id", words))
		if !g.immediate || g.status != 502 || strings.Contains(g.headers+g.body, "cret") {
			t.Errorf("a session id that is text: %+v", g)
		}
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

// BenchmarkBoundExchange is BenchmarkExchange in a session, sealed and not, with
// and without a stream of ten events that have ids.
func BenchmarkBoundExchange(b *testing.B) {
	keys, err := sealed.New([]string{strings.Repeat("k", 32)})
	if err != nil {
		b.Fatal(err)
	}
	binder := sealed.Binder{Keys: keys}
	for _, bound := range []bool{false, true} {
		for _, events := range []int{0, 10} {
			b.Run(fmt.Sprintf("bound=%v/events=%d", bound, events), func(b *testing.B) {
				snap := benchSnapshot(b, "alone")
				call := benchCall(200)
				if bound {
					bind(b, snap, call, binder)
				}
				if events > 0 {
					call[2] = responseHeaders(false, ":status", "200", "content-type", "text/event-stream")
					var text strings.Builder
					for i := range events {
						fmt.Fprintf(&text, "id: 3f2b8e0c-6a1d-4c58-9b7e-0d4f5a6b7c8d_%d\ndata: %s\n\n", i, progress)
					}
					call[3] = responseBody(text.String()+"data: "+goodReply+"\n\n", true)
				}
				b.ReportAllocs()
				for b.Loop() {
					m := newMachine(snap, "", func(*extprocv3.ProcessingResponse) error { return nil })
					m.wishes.Lean = true
					for _, msg := range call {
						if err := m.step(b.Context(), msg); err != nil {
							b.Fatal(err)
						}
					}
					if err := m.settle(b.Context(), nil); err != nil || m.ending != guard.Completed {
						b.Fatal(err, m.ending)
					}
				}
			})
		}
	}
}

// bind has snap bind ids, and the call be in a session that is sealed.
func bind(b *testing.B, snap *gate.Snapshot, call []*extprocv3.ProcessingRequest, binder sealed.Binder) {
	members, err := guard.Assemble([]guard.Spec{envelope.Spec(), binding.Spec(func(binding.Config) (binding.Sealer, error) { return binder, nil })},
		func(string) guard.Setting {
			return guard.Setting{Timeout: time.Second, Decode: func(c any) error {
				if c, ok := c.(*binding.Config); ok {
					c.Keys = []notation.SecretRef{{Kind: "env", Name: "K"}}
				}
				return nil
			}}
		})
	if err != nil {
		b.Fatal(err)
	}
	if snap.Chain, err = guard.New(guard.Host{Now: time.Now, Decoder: snap.Decoder, Await: gate.Await}, members...); err != nil {
		b.Fatal(err)
	}
	snap.Binding = binder
	text, _ := binder.Seal(binding.Session, &guard.Exchange{Server: guard.Server{Name: "echo"}}, "3f2b8e0c-6a1d-4c58-9b7e-0d4f5a6b7c8d")
	for _, h := range call[0].GetRequestHeaders().GetHeaders().GetHeaders() {
		if h.GetKey() == "mcp-session-id" {
			h.RawValue = []byte(text)
		}
	}
}
