package extproc

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp/sse"
)

// bench drives a machine without gRPC and remembers what was let go.
type bench struct {
	f        *fixture
	st       *stream
	sentBody string // of the request, as Envoy holds it

	requests   int    // times that the request was let go
	wrong      string // what broke the invariant
	released   bytes.Buffer
	headersOut bool
	over       bool // an end of the response was sent
}

func newBench(t testing.TB) *bench {
	b := &bench{f: newFixture(t)}
	b.st = &stream{log: slog.New(slog.DiscardHandler)}
	b.st.m = newMachine(b.f.snap, "", b.note)
	return b
}

func (b *bench) note(r *extprocv3.ProcessingResponse) error {
	r = proto.Clone(r).(*extprocv3.ProcessingResponse)
	switch {
	case b.over:
		b.wrong = "an answer after the end: " + r.String()
	case r.GetImmediateResponse() != nil:
		b.over = true
		if b.headersOut {
			b.wrong = "a refusal in the place of a response that has begun"
		}
		if strings.Contains(string(r.GetImmediateResponse().GetBody()), secret) {
			b.wrong = "a refusal repeats the message"
		}
	case r.GetRequestBody() != nil:
		b.requests++
		body := b.sentBody
		if m := r.GetRequestBody().GetResponse().GetBodyMutation(); m != nil {
			body = string(m.GetBody())
		}
		if !b.f.probe.allowed[body] {
			b.wrong = "an unjudged request: " + body
		}
	case r.GetResponseHeaders() != nil:
		b.headersOut = true
	case r.GetResponseBody() != nil:
		body, end := chunk(r)
		b.released.WriteString(body)
		b.over = end
	}
	return nil
}

// check is the invariant: every byte of a response body that went to the client
// is the data of a message that the guards let go, framing that holds nothing
// of it, or a reply that no upstream gave because no request had been let go.
func (b *bench) check() string {
	if b.wrong != "" || b.released.Len() == 0 || !b.st.m.reached && b.st.m.phase == foreign || b.requests == 0 && b.st.m.x.Asked.Method == "" {
		return b.wrong
	}
	text := b.released.String()
	if b.f.probe.allowed[text] {
		return ""
	}
	s := sse.NewSplitter(1 << 20)
	wrong := ""
	err := s.Push([]byte(text), func(e sse.Event) error {
		own := bytes.Contains(e.Data, []byte(`"error":{"code":-31`)) && !bytes.Contains(e.Data, []byte(secret))
		if len(e.Data) > 0 && !b.f.probe.allowed[string(e.Data)] && !own {
			wrong = "an unjudged event: " + string(e.Data)
		}
		return nil
	})
	if err != nil || s.Close() > 0 {
		wrong = "unjudged bytes: " + text
	}
	return wrong
}

// secret is in everything that an upstream says.
const secret = "SECRET"

// fragments are what upstreams send, whole and broken.
var fragments = []string{
	`{"jsonrpc":"2.0","id":7,"result":{"content":["SECRET"]}}`,
	`{"jsonrpc":"2.0","id":8,"result":{"content":["SECRET"]}}`,
	`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"SECRET"}}`,
	`{"jsonrpc":"2.0","id":7,"result":{"content":["SECRET forbidden"]}}`,
	`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"SECRET"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{"x":"SECRET"}}`,
	`{"jsonrpc":"2.0","id":7,"result":{"SECRET":1,"SECRET":2}}`,
	"data: ", "data:", "\n\n", "\r\n\r\n", "\r", "\n", "event: other\n", "event: message\n", ": SECRET\n", "retry: 5\n",
	"SECRET", "\ufeff", "{", `"SECRET"`, "",
}

var requests = []string{
	callBody,
	`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
	`{"jsonrpc":"2.0","id":1,"result":{}}`,
	`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"forbidden"}}`,
	`{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}`,
	"",
}

// act does one thing to the machine that op and arg stand for.
func (b *bench) act(op, arg byte) error {
	ctx := context.Background()
	pick := func(list ...*extprocv3.ProcessingRequest) *extprocv3.ProcessingRequest {
		return list[int(arg)%len(list)]
	}
	var r *extprocv3.ProcessingRequest
	switch op % 9 {
	case 0, 8:
		noModes := post()
		noModes.ProtocolConfig = nil
		wrong := post()
		wrong.ProtocolConfig = modes(filterv3.ProcessingMode_BUFFERED, filterv3.ProcessingMode_STREAMED)
		r = pick(post(), post("accept", "text/event-stream"), bodyless("GET"), bodyless("GET", "last-event-id", "1"), bodyless("DELETE"),
			post("content-length", "71", "content-type", "text/plain"), post("mcp-session-id", "s"), bodyless("PUT"), noModes, wrong)
	case 1:
		b.sentBody = requests[int(arg)%len(requests)]
		r = requestBody(b.sentBody)
	case 2:
		r = pick(jsonHeaders, eventHeaders, responseHeaders(true, ":status", "202"), responseHeaders(false, ":status", "404", "content-type", "text/plain"),
			responseHeaders(false, ":status", "200", "content-type", "text/event-stream; charset=utf-8"), responseHeaders(false, ":status", "500", "content-type", "application/json"),
			responseHeaders(false, ":status", "200", "content-type", "application/json", "content-encoding", "gzip"), responseHeaders(false, ":status", "302"), responseHeaders(false),
			responseHeaders(true, ":status", "200", "content-type", "text/event-stream"), responseHeaders(false, ":status", "202", "content-type", "text/event-stream"))
	case 3, 4:
		r = responseBody(fragments[int(arg)%len(fragments)], false)
	case 5:
		r = responseBody(fragments[int(arg)%len(fragments)], true)
	case 6:
		r = responseTrailers()
	case 7:
		switch arg % 3 {
		case 0:
			b.st.drain()
		case 1:
			b.st.expire()
		case 2:
			r = &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{}}
		}
	}
	if r == nil {
		return nil
	}
	_, err := b.st.step(ctx, r)
	return err
}

// play does everything in script and returns what broke the invariant.
func (b *bench) play(script []byte) string {
	var ended error
	for i := 0; i+1 < len(script) && ended == nil; i += 2 {
		ended = b.act(script[i], script[i+1])
		if wrong := b.check(); wrong != "" {
			return wrong
		}
	}
	asked := b.st.m.asked
	b.st.close(context.Background(), ended)
	b.st.close(context.Background(), ended)
	b.st.drain() // after the end nothing may be sent
	b.st.expire()
	if want := map[bool]int{true: 1}[asked]; len(b.f.probe.outcomes) != want {
		return "not settled exactly once"
	}
	if o := b.f.probe.outcomes; len(o) == 1 && o[0].Reached && b.requests == 0 && b.st.m.x.Asked.Method != "transport/listen" && b.st.m.x.Asked.Method != "transport/close" {
		return "told the guards that a request was let go which was not"
	}
	return b.wrong
}

func FuzzMachineNeverPassesAnUnjudgedByte(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 0, 5, 21})
	f.Add([]byte{0, 0, 1, 0, 2, 1, 3, 7, 3, 4, 3, 9, 3, 7, 3, 0, 3, 9, 5, 21})
	f.Add([]byte{0, 2, 2, 1, 3, 7, 3, 5, 3, 9, 7, 0, 3, 0})
	f.Add([]byte{2, 3, 5, 17})
	f.Add([]byte{0, 0, 2, 3, 5, 17})
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 17, 7, 1, 5, 0})
	f.Add([]byte{0, 5, 1, 0, 2, 0, 5, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 80 {
			script = script[:80]
		}
		if wrong := newBench(t).play(script); wrong != "" {
			t.Errorf("%v: %s", script, wrong)
		}
	})
}

func TestRandomSequencesNeverPassAnUnjudgedByte(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		script := []byte{0, byte(rapid.IntRange(0, 6).Draw(r, "request")), 1, byte(rapid.IntRange(0, 2).Draw(r, "body")), 2, byte(rapid.IntRange(0, 10).Draw(r, "response"))}
		if rapid.IntRange(0, 3).Draw(r, "wild") == 0 {
			script = nil
		}
		script = append(script, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(r, "script")...)
		if wrong := newBench(t).play(script); wrong != "" {
			r.Fatalf("%v: %s", script, wrong)
		}
	})
}

// Whatever pieces a response comes in, the client gets the same bytes.
func TestAnyChunkingReleasesTheSameBytes(t *testing.T) {
	bodies := map[string]*extprocv3.ProcessingRequest{
		goodReply: jsonHeaders,
		"id: 1\ndata: " + progress + "\n\n: c\n\nevent: other\ndata: x\n\ndata: " + progress + "\r\rdata: " + goodReply + "\r\n\r\ndata: " + goodReply + "\n\n": eventHeaders,
		"data: " + progress + "\n\ndata: " + strings.Replace(goodReply, "[]", `["forbidden"]`, 1) + "\n\ndata: " + progress + "\n\n":                            eventHeaders,
		"data: " + progress + "\n\ndata: {\n\n": eventHeaders,
		"data: " + progress + "\n\ndata: {":     eventHeaders,
	}
	run := func(pieces []string, headers *extprocv3.ProcessingRequest) (string, guard.Ending) {
		b := newBench(t)
		ctx := context.Background()
		b.sentBody = callBody
		for _, r := range []*extprocv3.ProcessingRequest{post(), requestBody(callBody), headers} {
			if _, err := b.st.step(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		b.st.m.x.ID = "x" // it is in errors
		for i, p := range pieces {
			if _, err := b.st.step(ctx, responseBody(p, i == len(pieces)-1)); err != nil {
				t.Fatal(err)
			}
		}
		b.st.close(ctx, nil)
		if !b.over || b.check() != "" {
			t.Fatalf("not over, or %s", b.check())
		}
		return b.released.String(), b.f.settled(t).Ending
	}
	for body, headers := range bodies {
		want, ending := run([]string{body}, headers)
		if want == "" {
			t.Fatalf("nothing of %q was released", body)
		}
		rapid.Check(t, func(r *rapid.T) {
			var pieces []string
			for rest := body; rest != ""; {
				n := rapid.IntRange(1, min(len(rest), 40)).Draw(r, "piece")
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			if rapid.Bool().Draw(r, "empty end") {
				pieces = append(pieces, "")
			}
			if got, end := run(pieces, headers); got != want || end != ending {
				r.Fatalf("%q: released %q (%v), whole %q (%v)", pieces, got, end, want, ending)
			}
		})
	}
}
