package extauthz

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// probe is a guard that does what a test says and notes how exchanges ended.
type probe struct {
	inspect func(m *mcp.Message) (guard.Verdict, error)

	mu       sync.Mutex
	outcomes []guard.Outcome
}

func (p *probe) Inspect(_ context.Context, _ *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if p.inspect == nil {
		return guard.Pass(), nil
	}
	return p.inspect(m)
}

func (p *probe) Settle(_ context.Context, _ *guard.Exchange, o guard.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes = append(p.outcomes, o)
}

// watch counts decisions, as receipts do.
type watch struct {
	mu   sync.Mutex
	seen []guard.Decision
	do   func() error
}

func (w *watch) Observe(_ context.Context, _ *guard.Exchange, _ *mcp.Message, d *guard.Decision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, *d)
	if w.do != nil {
		return w.do()
	}
	return nil
}

type fixture struct {
	server *Server
	probe  *probe
	watch  *watch
	snap   *gate.Snapshot
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{probe: &probe{}, watch: &watch{}}
	env, err := envelope.Spec().Build(func(any) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	decoder := mcp.NewDecoder(mcp.Config{})
	chain, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: gate.Await, Observers: []guard.Observer{f.watch}},
		guard.Member{Spec: envelope.Spec(), Guard: env, Timeout: time.Second},
		guard.Member{Guard: f.probe, Timeout: time.Second, Spec: guard.Spec{
			Name: "probe", Informs: true, Wants: []guard.Want{{Method: "*", Direction: mcp.ToServer}},
			Reasons: []guard.ReasonInfo{{Reason: "probe_no", Status: 429, Code: guard.CodeQuota, Text: "No.", When: "In tests."}},
		}})
	if err != nil {
		t.Fatal(err)
	}
	f.snap = &gate.Snapshot{
		Chain: chain, Decoder: decoder, Limits: gate.Limits{Body: 1 << 20},
		View: registry.NewView([]registry.Server{
			{Name: "one", Versions: []registry.Version{{Name: "default"}}},
			{Name: "two", Versions: []registry.Version{{Name: "v1"}, {Name: "v2"}}},
		}),
		RequestsOnly: chain.RequestsOnly(),
	}
	f.server = New(gate.NewHolder(f.snap), slog.New(slog.DiscardHandler))
	return f
}

const call = `{"jsonrpc":"2.0","id":"a-7","method":"tools/call","params":{"name":"read"}}`

// request is what Envoy sends about a POST of body, with encode_raw_headers and
// pack_as_bytes. more are header names and values; an empty value removes the
// header.
func request(body string, more ...string) *authv3.CheckRequest {
	headers := [][2]string{
		{":method", "POST"}, {":path", "/mcp/one?x=1"}, {":authority", "localhost:8080"}, {"accept", "application/json, text/event-stream"},
		{"content-type", "application/json"}, {"content-length", strconv.Itoa(len(body))}, {"x-envoy-auth-partial-body", "false"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		if name, add := more[i], true; name[0] != '+' { // a plus adds a second line
			for j := range headers {
				if headers[j][0] == name {
					headers[j][1], add = more[i+1], false
				}
			}
			if add {
				headers = append(headers, [2]string{name, more[i+1]})
			}
		} else {
			headers = append(headers, [2]string{name[1:], more[i+1]})
		}
	}
	m := &corev3.HeaderMap{}
	for _, h := range headers {
		if h[1] != "" {
			m.Headers = append(m.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
		}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{HeaderMap: m, RawBody: []byte(body)},
	}}}
}

// bodyless is a GET or DELETE.
func bodyless(method string, more ...string) *authv3.CheckRequest {
	return request("", append([]string{":method", method, "content-type", "", "content-length", "", "x-envoy-auth-partial-body", "", "accept", "text/event-stream"}, more...)...)
}

// answer is an answer to Envoy in short.
type answer struct {
	ok     bool
	status int
	body   string
	header map[string]string
	remove []string
	reason string
}

func (f *fixture) check(t testing.TB, r *authv3.CheckRequest) answer {
	t.Helper()
	resp, err := f.server.Check(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	f.server.Wait()
	a := answer{ok: resp.GetStatus().GetCode() == 0, header: make(map[string]string)}
	set := resp.GetOkResponse().GetHeaders()
	if d := resp.GetDeniedResponse(); d != nil {
		a.status, a.body, set = int(d.Status.Code), d.Body, d.Headers
	}
	for _, h := range set {
		a.header[h.Header.Key] = h.Header.Value
	}
	if a.ok != (resp.GetOkResponse() != nil) {
		t.Fatalf("status and response disagree: %v", resp)
	}
	a.remove = resp.GetOkResponse().GetHeadersToRemove()
	a.reason = resp.GetDynamicMetadata().GetFields()["reason"].GetStringValue()
	if a.body != "" && a.header["content-type"] == "application/json" && !json.Valid([]byte(a.body)) {
		t.Fatalf("body is no JSON: %s", a.body)
	}
	return a
}

// last returns the only outcome so far.
func (f *fixture) last(t testing.TB) guard.Outcome {
	t.Helper()
	f.probe.mu.Lock()
	defer f.probe.mu.Unlock()
	if len(f.probe.outcomes) != 1 {
		t.Fatalf("settled %d times", len(f.probe.outcomes))
	}
	return f.probe.outcomes[0]
}
