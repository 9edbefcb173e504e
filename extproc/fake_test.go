package extproc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// probe is a guard that does what a test says, and notes what it let go on and
// how exchanges ended.
type probe struct {
	inspect func(m *mcp.Message) (guard.Verdict, error)
	admit   func(x *guard.Exchange) // nil does nothing

	mu       sync.Mutex
	allowed  map[string]bool // raw messages
	outcomes []guard.Outcome
}

func (p *probe) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if p.admit != nil {
		p.admit(x)
	}
	v, err := guard.Pass(), error(nil)
	switch {
	case p.inspect != nil:
		v, err = p.inspect(m)
	case strings.Contains(string(m.Raw), "forbidden"):
		v = guard.Refuse("probe_no", "forbidden")
	}
	if err == nil && v.Action == guard.Allow && len(v.Edits) == 0 {
		p.mu.Lock()
		p.allowed[string(m.Raw)] = true
		p.mu.Unlock()
	}
	return v, err
}

func (p *probe) Settle(_ context.Context, _ *guard.Exchange, o guard.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes = append(p.outcomes, o)
}

type observed struct {
	mu    sync.Mutex
	seen  []guard.Decision
	ended []string // what closing receipts would say; one that is empty for each exchange without
}

func (w *observed) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ended)
}

// Ended implements guard.Witness.
func (w *observed) Ended(_ context.Context, x *guard.Exchange, o *guard.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end, due := audit.EndOf(x, o)
	if !due {
		w.ended = append(w.ended, "")
		return
	}
	w.ended = append(w.ended, fmt.Sprintf("%s %s %d/%d to server %d/%d to client, status %d", end, o.Reason, o.In, o.BytesIn, o.Out, o.BytesOut, x.Upstream))
}

func (w *observed) Observe(_ context.Context, _ *guard.Exchange, _ *mcp.Message, d *guard.Decision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, *d)
	return nil
}

// fixture is a service with the envelope guard and a probe.
type fixture struct {
	server *Server
	probe  *probe
	watch  *observed
	snap   *gate.Snapshot
	gone   atomic.Bool // whoever calls was revoked
}

func (f *fixture) revoked(*guard.Principal) string {
	if f.gone.Load() {
		return "somebody was revoked"
	}
	return ""
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{probe: &probe{allowed: make(map[string]bool)}, watch: &observed{}}
	env, err := envelope.Spec().Build(func(any) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	decoder := mcp.NewDecoder(mcp.Config{})
	chain, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: gate.Await, Observers: []guard.Observer{f.watch}},
		guard.Member{Spec: envelope.Spec(), Guard: env, Timeout: time.Second},
		guard.Member{Guard: f.probe, Timeout: time.Second, Spec: guard.Spec{
			Name: "probe", Informs: true, Wants: []guard.Want{{Method: "*", Direction: mcp.ToServer}, {Method: "*", Direction: mcp.ToClient}},
			Reasons: []guard.ReasonInfo{{Reason: "probe_no", Status: 200, Code: guard.CodeDenied, Text: "No.", When: "In tests."}},
		}})
	if err != nil {
		t.Fatal(err)
	}
	f.snap = &gate.Snapshot{
		Chain: chain, Decoder: decoder,
		Limits: gate.Limits{Body: 4096, Response: 256 << 10, Event: 8192, ResponseTime: time.Minute},
		View: registry.NewView([]registry.Server{
			{Name: "one", Versions: []registry.Version{{Name: "default"}}},
			{Name: "two", Versions: []registry.Version{{Name: "v1"}, {Name: "v2"}}},
		}),
	}
	f.server = New(gate.NewHolder(f.snap), slog.New(slog.DiscardHandler), f.revoked)
	return f
}

// envoy plays Envoy's part of one gRPC stream.
type envoy struct {
	grpc.ServerStream
	t      testing.TB
	ctx    context.Context
	cancel context.CancelFunc
	in     chan *extprocv3.ProcessingRequest
	out    chan *extprocv3.ProcessingResponse
	done   chan error
}

func (f *fixture) dial(t testing.TB) *envoy {
	e := &envoy{t: t, in: make(chan *extprocv3.ProcessingRequest), out: make(chan *extprocv3.ProcessingResponse, 64), done: make(chan error, 1)}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	go func() { e.done <- f.server.Process(e) }()
	t.Cleanup(func() {
		e.cancel()
		select {
		case <-e.done: //nolint:errcheck // what the cancel made of it
		case <-time.After(10 * time.Second):
			t.Error("Process did not return after the cancel")
		}
	})
	return e
}

func (e *envoy) Context() context.Context { return e.ctx }

func (e *envoy) Recv() (*extprocv3.ProcessingRequest, error) {
	select {
	case r, ok := <-e.in:
		if !ok {
			return nil, io.EOF
		}
		return r, nil
	case <-e.ctx.Done():
		return nil, status.FromContextError(e.ctx.Err()).Err()
	}
}

// Send encodes at once, as gRPC does.
func (e *envoy) Send(r *extprocv3.ProcessingResponse) error {
	select {
	case e.out <- proto.Clone(r).(*extprocv3.ProcessingResponse):
		return nil
	case <-e.ctx.Done():
		return status.FromContextError(e.ctx.Err()).Err()
	}
}

// say sends one message, unless the service has already ended the stream.
func (e *envoy) say(r *extprocv3.ProcessingRequest) {
	e.t.Helper()
	select {
	case e.in <- r:
	case err := <-e.done:
		e.done <- err
		e.t.Fatalf("the service ended the stream: %v", err)
	case <-time.After(10 * time.Second):
		e.t.Fatal("the service does not read")
	}
}

func (e *envoy) hear() *extprocv3.ProcessingResponse {
	e.t.Helper()
	select {
	case r := <-e.out:
		return r
	case <-time.After(10 * time.Second):
		e.t.Fatal("no answer")
		return nil
	}
}

func (e *envoy) ended() error {
	e.t.Helper()
	select {
	case err := <-e.done:
		e.done <- err
		return err
	case <-time.After(10 * time.Second):
		e.t.Fatal("Process goes on")
		return nil
	}
}

// close ends the stream as Envoy does after a finished exchange.
func (e *envoy) close() error {
	close(e.in)
	return e.ended()
}

// settled returns the only outcome.
func (f *fixture) settled(t testing.TB) guard.Outcome {
	t.Helper()
	f.probe.mu.Lock()
	defer f.probe.mu.Unlock()
	if len(f.probe.outcomes) != 1 {
		t.Fatalf("settled %d times", len(f.probe.outcomes))
	}
	return f.probe.outcomes[0]
}

func modes(request, response filterv3.ProcessingMode_BodySendMode) *extprocv3.ProtocolConfiguration {
	return &extprocv3.ProtocolConfiguration{RequestBodyMode: request, ResponseBodyMode: response}
}

func block(pairs ...string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return m
}

func requestHeaders(end bool, pairs ...string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{
		ProtocolConfig: modes(filterv3.ProcessingMode_BUFFERED, filterv3.ProcessingMode_FULL_DUPLEX_STREAMED),
		Request:        &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: block(pairs...), EndOfStream: end}},
	}
}

func post(more ...string) *extprocv3.ProcessingRequest {
	return requestHeaders(false, append([]string{":method", "POST", ":path", "/mcp/one", ":authority", "localhost", "content-type", "application/json", "accept", "application/json, text/event-stream"}, more...)...)
}

func bodyless(method string, more ...string) *extprocv3.ProcessingRequest {
	return requestHeaders(true, append([]string{":method", method, ":path", "/mcp/one", ":authority", "localhost"}, more...)...)
}

func requestBody(b string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte(b), EndOfStream: true}}}
}

func responseHeaders(end bool, pairs ...string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{Headers: block(pairs...), EndOfStream: end}}}
}

func responseBody(b string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte(b), EndOfStream: end}}}
}

func responseTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{}}}
}

const (
	callBody  = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read"}}`
	goodReply = `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`
	progress  = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
)

// asked brings an exchange to where the upstream's answer is awaited.
func (f *fixture) asked(t testing.TB, request *extprocv3.ProcessingRequest, body string) *envoy {
	t.Helper()
	e := f.dial(t)
	e.say(request)
	if e.hear().GetRequestHeaders() == nil {
		t.Fatal("the headers were not let go")
	}
	if body != "" {
		e.say(requestBody(body))
		if e.hear().GetRequestBody() == nil {
			t.Fatal("the body was not let go")
		}
	}
	return e
}

func chunk(r *extprocv3.ProcessingResponse) (string, bool) {
	s := r.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
	return string(s.GetBody()), s.GetEndOfStream()
}
