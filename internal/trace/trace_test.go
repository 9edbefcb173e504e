package trace_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trace"
	"github.com/sallyport/sallyport/mcp"
)

// sink is a receiver that may be away.
type sink struct {
	mu    sync.Mutex
	spans []*tracev1.Span
	away  bool
	gate  chan struct{} // when not nil, each batch waits for it
}

func (s *sink) UploadTraces(ctx context.Context, list []*tracev1.ResourceSpans) error {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("nobody is there")
	}
	for _, rs := range list {
		for _, ss := range rs.ScopeSpans {
			s.spans = append(s.spans, ss.Spans...)
		}
	}
	return nil
}

func tracer(t testing.TB, s *sink, change func(*trace.Options)) *trace.Tracer {
	t.Helper()
	o := trace.Options{Upload: s, Queue: 1000, PerSecond: 1000, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	return trace.New(o)
}

// end ends the tracer and returns what it sent.
func (s *sink) end(t testing.TB, tr *trace.Tracer) []*tracev1.Span {
	t.Helper()
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.spans
}

const (
	callerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	bodyTrace   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	proxyTrace  = "99999999999999999999999999999999"
)

func place(trace string, flags string) string { return "00-" + trace + "-00f067aa0ba902b7-" + flags }

func message(t testing.TB, meta string) *mcp.Message {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"q":"secret"}`+meta+`}}`))
	if f != nil {
		t.Fatal(f)
	}
	return &m
}

// exchange runs one through the rules, as a host does.
func exchange(t testing.TB, r *trace.Rules, a gate.Ambient, meta string, o guard.Outcome) *guard.Exchange {
	t.Helper()
	x := &guard.Exchange{ID: "e", Verb: "POST", Session: "upstream-session", Started: time.Now()}
	x.Server.Name = "crm"
	x.Principal.Subject = "ada@example.com"
	r.Begin(x, a)
	m := message(t, meta)
	r.Read(x, m)
	x.Asked = guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "read", ID: []byte(`"one"`)}
	d := &guard.Decision{Action: guard.Allow, At: time.Now(), Took: time.Microsecond, Journal: []guard.Entry{{Guard: "quota", Action: guard.Allow, Took: time.Microsecond}}}
	if o.Ending == guard.Refused {
		d.Action, d.Reason, d.Guard = guard.Deny, o.Reason, "quota"
	}
	if err := r.Observe(t.Context(), x, m, d); err != nil {
		t.Fatal(err)
	}
	r.Ended(t.Context(), x, &o)
	return x
}

func TestAnExchangeIsWhereItsCallerSays(t *testing.T) {
	const other = "ffffffffffffffffffffffffffffffff"
	meta := func(text string) string { return `,"_meta":{"traceparent":` + text + `,"tracestate":"b=2"}` }
	for _, tt := range []struct {
		name  string
		a     gate.Ambient
		meta  string
		trace string // "" for a new one
		link  string
		state string // header, body, or none
	}{
		{"nowhere", gate.Ambient{}, "", "", "", "none"},
		{"by headers", gate.Ambient{Caller: place(callerTrace, "01")}, "", callerTrace, "", "header"},
		{"by its body", gate.Ambient{}, meta(`"` + place(bodyTrace, "01") + `"`), bodyTrace, "", "body"},
		{"by both", gate.Ambient{Caller: place(bodyTrace, "01")}, meta(`"` + place(bodyTrace, "01") + `"`), bodyTrace, "", "header"},
		{"by both, and they disagree", gate.Ambient{Caller: place(callerTrace, "01")}, meta(`"` + place(bodyTrace, "01") + `"`), bodyTrace, callerTrace, "body"},
		{"by an Envoy of the operator's own", gate.Ambient{Caller: place(callerTrace, "01"), Proxy: place(callerTrace, "00")}, "", callerTrace, "", "header"},
		{"beside an Envoy that relays", gate.Ambient{Caller: place(callerTrace, "01"), Proxy: place(proxyTrace, "01"), Relayed: true}, "", callerTrace, "", "header"},
		{"nowhere, beside an Envoy that relays", gate.Ambient{Proxy: place(proxyTrace, "01"), Relayed: true}, "", proxyTrace, "", "none"},
		{"a header in capitals", gate.Ambient{Caller: strings.ToUpper(place(callerTrace, "01"))}, "", "", "", "none"},
		{"a header that goes on", gate.Ambient{Caller: place(callerTrace, "01") + "-x"}, "", "", "", "none"},
		{"zeros", gate.Ambient{Caller: place(strings.Repeat("0", 32), "01")}, "", "", "", "none"},
		{"a version that is none", gate.Ambient{Caller: "ff" + place(other, "01")[2:]}, "", "", "", "none"},
		{"a body that is no text", gate.Ambient{Caller: place(callerTrace, "01")}, meta(`{"a":1}`), callerTrace, "", "header"},
		{"a body with escapes", gate.Ambient{}, meta(`"\u0030` + place(bodyTrace, "01")[1:] + `"`), "", "", "none"},
		{"a body of a megabyte", gate.Ambient{}, meta(`"` + strings.Repeat("0", 1<<20) + `"`), "", "", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &sink{}
			tr := tracer(t, s, nil)
			x := exchange(t, tr.Under(trace.Policy{Sample: 1, ProxyChooses: true}), tt.a, tt.meta, guard.Outcome{})
			spans := s.end(t, tr)
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			got := hex.EncodeToString(spans[0].TraceId)
			if tt.trace != "" && got != tt.trace || tt.trace == "" && (got == callerTrace || got == bodyTrace || got == strings.Repeat("0", 32)) {
				t.Errorf("it is in %s, want %q", got, tt.trace)
			}
			link := ""
			for _, l := range spans[0].Links {
				link = hex.EncodeToString(l.TraceId)
			}
			if link != tt.link {
				t.Errorf("linked to %q, want %q", link, tt.link)
			}
			state := "none"
			switch {
			case x.Trace.State.Header:
				state = "header"
			case x.Trace.State.Body == "b=2":
				state = "body"
			}
			if state != tt.state {
				t.Errorf("tracestate of %s, want %s", state, tt.state)
			}
			if x.Trace.InBody != (tt.meta != "") {
				t.Errorf("in body: %v", x.Trace.InBody)
			}
		})
	}
}

// Who sets the sampled flag, or makes up ids, must not choose what is kept.
func TestAForgedPlaceChoosesNothing(t *testing.T) {
	s := &sink{}
	tr := tracer(t, s, nil)
	r := tr.Under(trace.Policy{Sample: 0, ProxyChooses: true})
	for range 100 {
		exchange(t, r, gate.Ambient{Caller: place(callerTrace, "01")}, `,"_meta":{"traceparent":"`+place(bodyTrace, "01")+`"}`, guard.Outcome{})
		exchange(t, r, gate.Ambient{Caller: place(callerTrace, "01"), Proxy: place(proxyTrace, "00"), Relayed: true}, "", guard.Outcome{})
		exchange(t, r, gate.Ambient{Caller: place(callerTrace, "01"), Proxy: place(callerTrace, "01")}, "", guard.Outcome{}) // an Envoy that believes it
	}
	if n := len(s.end(t, tr)); n > 0 {
		t.Errorf("%d spans of callers who ask for them", n)
	}
}

func TestAFloodOfRefusalsIsNoFloodOfSpans(t *testing.T) {
	s := &sink{}
	tr := tracer(t, s, func(o *trace.Options) { o.PerSecond = 5 })
	r := tr.Under(trace.Policy{Sample: 0.5})
	for range 2000 {
		exchange(t, r, gate.Ambient{}, "", guard.Outcome{Ending: guard.Refused, Reason: "quota_exceeded"})
	}
	n := len(s.end(t, tr))
	if n < 10 || n > 200 || tr.Counts().Capped < 1500 {
		t.Errorf("%d spans, %+v", n, tr.Counts())
	}
}

func TestWhatIsWorthKeepingIsKept(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    guard.Outcome
		kept bool
	}{
		{"an answer", guard.Outcome{Reply: guard.Reply{Kind: mcp.Response}, Elapsed: time.Millisecond}, false},
		{"a slow answer", guard.Outcome{Reply: guard.Reply{Kind: mcp.Response}, Elapsed: 2 * time.Second}, true},
		{"a refusal", guard.Outcome{Ending: guard.Refused, Reason: "quota_exceeded"}, true},
		{"a tool's error", guard.Outcome{Reply: guard.Reply{Kind: mcp.Response, Error: true}}, true},
		{"a server's error", guard.Outcome{Reply: guard.Reply{Kind: mcp.Failure, Code: -32603}}, true},
		{"a server that is away", guard.Outcome{Status: 502}, true},
		{"a client that left", guard.Outcome{Ending: guard.Reset}, false},
	} {
		s := &sink{}
		tr := tracer(t, s, nil)
		x := exchange(t, tr.Under(trace.Policy{Slow: time.Second, Show: trace.Show{Hashes: true}}), gate.Ambient{}, "", tt.o)
		spans := s.end(t, tr)
		if (len(spans) == 1) != tt.kept || x.Trace.Kept != tt.kept {
			t.Errorf("%s: %d spans", tt.name, len(spans))
		}
	}
}

func TestSpansTellNothingThatIsSecret(t *testing.T) {
	s := &sink{}
	tr := tracer(t, s, nil)
	exchange(t, tr.Under(trace.Policy{Sample: 1, Show: trace.Show{Hashes: true}, Key: []byte("k")}), gate.Ambient{}, "", guard.Outcome{})
	exchange(t, tr.Under(trace.Policy{Sample: 1, Show: trace.Show{Hashes: true}, Key: []byte("other")}), gate.Ambient{}, "", guard.Outcome{})
	spans := s.end(t, tr)
	var hashes []string
	for _, sp := range spans {
		if text := sp.String(); strings.Contains(text, "secret") || strings.Contains(text, "upstream-session") || strings.Contains(text, "ada@") {
			t.Errorf("in clear: %s", text)
		}
		for _, a := range sp.Attributes {
			if a.Key == "sallyport.arguments.hash" {
				hashes = append(hashes, a.Value.GetStringValue())
			}
		}
	}
	if len(hashes) != 2 || hashes[0] == hashes[1] || len(hashes[0]) != 32 {
		t.Errorf("hashes %q do not depend on the key", hashes)
	}
}

func TestAServerIsToldItsPlaceWhereItsCallerWas(t *testing.T) {
	tr := tracer(t, &sink{}, nil)
	defer func() { _ = tr.Close(t.Context()) }()
	r := tr.Under(trace.Policy{Sample: 1})
	d := mcp.NewDecoder(mcp.Config{})
	for _, tt := range []struct{ name, meta, want string }{
		{"nobody told any", `,"_meta":{"a":1}`, ""},
		{"no meta", ``, ""},
		{"in the body", `,"_meta":{"traceparent":"` + place(bodyTrace, "01") + `","tracestate":"b=2","a":1}`, `,"_meta":{"traceparent":%s,"tracestate":"b=2","a":1}`},
		{"a place that is none", `,"_meta":{"traceparent":"evil","tracestate":"b=2","a":1}`, `,"_meta":{"traceparent":%s,"a":1}`},
		{"no text", `,"_meta":{"traceparent":{"a":[1]}}`, `,"_meta":{"traceparent":%s}`},
	} {
		x := &guard.Exchange{}
		r.Begin(x, gate.Ambient{})
		m := message(t, tt.meta)
		r.Read(x, m)
		edits := r.Stamp(x, m)
		if tt.want == "" {
			if len(edits) > 0 {
				t.Errorf("%s: edited", tt.name)
			}
			continue
		}
		got, err := d.Apply(m, edits...)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		want := string(message(t, fmt.Sprintf(tt.want, `"`+string(x.Trace.AppendTraceparent(nil))+`"`)).Raw)
		if string(got.Raw) != want {
			t.Errorf("%s: got %s\nwant %s", tt.name, got.Raw, want)
		}
	}
}

func TestAReceiverThatIsAwaySlowsNobodyDown(t *testing.T) {
	s := &sink{gate: make(chan struct{})} // it takes nothing, and does not say so
	tr := tracer(t, s, func(o *trace.Options) { o.Queue, o.PerSecond, o.Timeout = 8, 100_000, 50*time.Millisecond })
	r := tr.Under(trace.Policy{Sample: 1})
	for range 2000 {
		exchange(t, r, gate.Ambient{}, "", guard.Outcome{}) // would hang here if it waited
	}
	s.end(t, tr)
	c := tr.Counts()
	if c.Sent != 0 || c.Dropped+c.Failed != 2000 || c.Failed == 0 {
		t.Errorf("2000 spans became %+v", c)
	}
}

func TestTheProxysSpansGoWhereTheExchangeIs(t *testing.T) {
	s := &sink{}
	tr := tracer(t, s, nil)
	r := tr.Under(trace.Policy{ProxyChooses: true})
	relay := tr.Relay()
	id := func(text string) []byte { b, _ := hex.DecodeString(text); return b }
	send := func(trace string, parent []byte) {
		_, err := relay.Export(t.Context(), &collectorv1.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{
			{TraceId: id(trace), SpanId: []byte("12345678"), ParentSpanId: parent, Name: "ingress"},
		}}}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	send(proxyTrace, nil) // before the exchange has ended
	send(bodyTrace, nil)  // of nobody
	exchange(t, r, gate.Ambient{Caller: place(callerTrace, "00"), Proxy: place(proxyTrace, "01"), Relayed: true}, "", guard.Outcome{})
	send(proxyTrace, []byte("abcdefgh"))
	spans := s.end(t, tr)
	if len(spans) != 3 {
		t.Fatalf("%d spans: %v", len(spans), spans)
	}
	for _, sp := range spans {
		if hex.EncodeToString(sp.TraceId) != callerTrace {
			t.Errorf("in another trace: %v", sp)
		}
		if sp.Name == "ingress" && len(sp.ParentSpanId) != 8 {
			t.Errorf("below nothing: %v", sp)
		}
	}
}

// A client reads resources by URIs that hold a password or a token.
func TestAURIInASpanTellsNoSecret(t *testing.T) {
	for uri, want := range map[string]string{
		"https://ada:t0ken@files.example/a/b?t0ken#t0ken": "https://[userinfo]@files.example/a/b?[query]#[fragment]",
		"https://files.example/a#access_t0ken":            "https://files.example/a#[fragment]",
		"file:///etc/hosts":                               "file:///etc/hosts",
		"postgres://u:t0ken@db":                           "postgres://[userinfo]@db",
		"mem:a@b":                                         "[uri]",
	} {
		s := &sink{}
		tr := tracer(t, s, nil)
		r := tr.Under(trace.Policy{Sample: 1})
		x := &guard.Exchange{ID: "e", Verb: "POST", Started: time.Now()}
		r.Begin(x, gate.Ambient{})
		x.Asked = guard.Asked{Kind: mcp.Request, Method: "resources/read", Name: uri}
		r.Ended(t.Context(), x, &guard.Outcome{})
		text := s.end(t, tr)[0].String()
		if strings.Contains(text, "t0ken") || !strings.Contains(text, `"`+want+`"`) {
			t.Errorf("%s: %s", uri, text)
		}
	}
}

// Whoever reaches the port that the proxy sends its spans to may send what the proxy
// never would: the gateway goes on.
func TestSpansOfNoProxyBreakNothing(t *testing.T) {
	s := &sink{}
	tr := tracer(t, s, nil)
	exchange(t, tr.Under(trace.Policy{ProxyChooses: true}), gate.Ambient{Proxy: place(proxyTrace, "01"), Relayed: true}, "", guard.Outcome{})
	id, _ := hex.DecodeString(proxyTrace)
	for _, spans := range [][]*tracev1.Span{{{TraceId: id, SpanId: []byte("12345678"), Attributes: []*commonv1.KeyValue{{Key: "http.url"}}}}, {{TraceId: id[:3]}}, {{}}, nil} {
		if _, err := tr.Relay().Export(t.Context(), &collectorv1.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{ScopeSpans: []*tracev1.ScopeSpans{{Spans: spans}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.end(t, tr); len(got) != 2 {
		t.Errorf("%d spans", len(got))
	}
}

func TestAFewSpansThatAreHugeTakeNoMoreRoomThanManySmallOnes(t *testing.T) {
	s := &sink{}
	tr := tracer(t, s, nil)
	huge := &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: strings.Repeat("x", 1<<20)}}
	for range 64 {
		span := &tracev1.Span{TraceId: make([]byte, 16), SpanId: []byte("12345678"), Attributes: []*commonv1.KeyValue{{Key: "k", Value: huge}}}
		if _, err := tr.Relay().Export(t.Context(), &collectorv1.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{{ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{span}}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := tr.Counts().Dropped; n < 32 {
		t.Errorf("%d spans of a mebibyte each were dropped, of 64", n)
	}
	s.end(t, tr)
}

// While the receiver is away, calls with names as long as a message, and with what
// guards noted of them, wait in the queue: it must not hold them.
func TestAQueueThatWaitsHoldsNoMessages(t *testing.T) {
	s := &sink{gate: make(chan struct{})}
	tr := tracer(t, s, func(o *trace.Options) { o.Queue, o.Timeout = 500, 2*time.Second })
	r := tr.Under(trace.Policy{Sample: 1})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 200 {
		x := &guard.Exchange{ID: "e", Verb: "POST", Started: time.Now()}
		r.Begin(x, gate.Ambient{})
		noted.Set(x, make([]byte, 128<<10))
		x.Asked = guard.Asked{Kind: mcp.Request, Method: "resources/read", Name: "x:" + strings.Repeat("a", 256<<10), ID: make([]byte, 64<<10)}
		r.Ended(t.Context(), x, &guard.Outcome{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("200 exchanges that wait hold %d MiB", grown>>20)
	}
	close(s.gate)
	if got := s.end(t, tr); len(got) != 200 {
		t.Errorf("%d spans", len(got))
	}
}

var noted = guard.NewSlot[[]byte]()

func BenchmarkExchange(b *testing.B) {
	for name, sample := range map[string]float64{"unsampled": 0, "a tenth": 0.1, "all": 1} {
		b.Run(name, func(b *testing.B) {
			tr := tracer(b, &sink{away: true}, func(o *trace.Options) { o.PerSecond = 1 << 30 })
			defer func() { _ = tr.Close(context.Background()) }()
			r := tr.Under(trace.Policy{Sample: sample, Slow: time.Second, Key: []byte("k"), Show: trace.Show{Hashes: true, Tools: true, Latencies: true}})
			a := gate.Ambient{Caller: place(callerTrace, "01"), Proxy: place(proxyTrace, "00")}
			m := message(b, "")
			d := &guard.Decision{Action: guard.Allow, At: time.Now(), Journal: make([]guard.Entry, 12)}
			x := &guard.Exchange{}
			o := &guard.Outcome{Reply: guard.Reply{Kind: mcp.Response}, Elapsed: time.Millisecond}
			b.ReportAllocs()
			for b.Loop() {
				x.Trace, x.Started = guard.Trace{}, time.Now()
				r.Begin(x, a)
				r.Read(x, m)
				for range 2 {
					if err := r.Observe(b.Context(), x, m, d); err != nil {
						b.Fatal(err)
					}
				}
				r.Ended(b.Context(), x, o)
			}
		})
	}
}
