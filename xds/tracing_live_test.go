package xds

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/registry"
)

// tracedProc is a judging service that takes Envoy's spans too.
type tracedProc struct {
	fakeProc
	collectorv1.UnimplementedTraceServiceServer
	mu      sync.Mutex
	parents []string // traceparent of each ext_proc stream
	spans   []*tracev1.Span
}

func startTracedProc(t *testing.T) *tracedProc {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tracedProc{}
	p.address = lis.Addr().String()
	g := grpc.NewServer()
	extprocv3.RegisterExternalProcessorServer(g, p)
	collectorv1.RegisterTraceServiceServer(g, p)
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	return p
}

func (p *tracedProc) Process(s extprocv3.ExternalProcessor_ProcessServer) error {
	p.mu.Lock()
	p.parents = append(p.parents, strings.Join(metadata.ValueFromIncomingContext(s.Context(), "traceparent"), ","))
	p.mu.Unlock()
	return p.fakeProc.Process(s)
}

func (p *tracedProc) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			p.spans = append(p.spans, ss.Spans...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// Who chooses the id and the flags of a trace must not choose whether it is
// recorded.
func TestEnvoySamplesWithoutBelievingTheClient(t *testing.T) {
	proc := startTracedProc(t)
	set := testSettings()
	set.NoExtProc, set.ExtProc = false, proc.address
	set.Tracing = &Tracing{Sample: 0.25, ServiceName: "envoy"}
	up := upstream(t, "a")
	r := build(t, []registry.Server{server(t, "a", up.URL)}, func(s *Settings) { *s = set })
	p := startPlane(t, "127.0.0.1:0", Options{})
	if err := p.Push(r); err != nil {
		t.Fatal(err)
	}
	e := adsEnvoy(t, p, "tracing")
	base := "http://" + e.listener(t)
	settle(t, p, r)
	const trace, n = "4bf92f3577b34da6a3ce929d00000000", 200
	for range n {
		_, _, h := get(t, base+"/mcp/a", "traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "tracestate", "v=1", "x-sallyport-traceparent", "forged", "x-sallyport-lot", "0",
			"x-request-id", "00000000-0000-4000-8000-000000000000", "x-client-trace-id", "x", "x-envoy-force-trace", "true", "x-b3-sampled", "1")
		if got := h.Get("got-x-sallyport-traceparent"); got != "00-"+trace+"-00f067aa0ba902b7-01" {
			t.Fatalf("the judge is told that the caller is at %q", got)
		}
		if got := h.Get("got-traceparent"); got != "" && got != envoymap.NoPlace { // which the judge, unlike this one, replaces
			t.Fatalf("Envoy tells the server %q", got)
		}
		if got := h.Get("got-x-sallyport-lot"); got != "" {
			t.Fatalf("the lot of a request goes on as %q", got)
		}
	}
	eventually(t, "spans", func() bool { proc.mu.Lock(); defer proc.mu.Unlock(); return len(proc.spans) >= 3*20 })
	proc.mu.Lock()
	defer proc.mu.Unlock()
	sampled := 0
	for _, tp := range proc.parents { // without a span, which is cheapest, or with one that is recorded
		if tp != "" && !strings.HasSuffix(tp, "-01") || strings.Contains(tp, trace) {
			t.Fatalf("the judge is called as part of %q", tp)
		}
		if tp != "" {
			sampled++
		}
	}
	if len(proc.parents) != n || sampled < n/10 || sampled > n/2 { // a quarter, and seven times the deviation to each side
		t.Errorf("%d of %d are sampled", sampled, len(proc.parents))
	}
	for _, s := range proc.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			t.Error("Envoy records what the client asks for")
		}
	}
}
