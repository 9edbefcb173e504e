package trace

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const (
	settling = 2 * time.Second  // how long spans of the proxy wait for their exchange to end
	memory   = 30 * time.Second // how long it is remembered which traces are kept, at least
	maxKept  = 1 << 16          // of those, in half of that time
	maxSpans = 1 << 14          // of the proxy that wait
	maxBytes = 32 << 20         // of those
)

// relay takes the proxy's spans, which are in traces that the proxy began, and
// moves those of exchanges that are kept to where these belong.
type relay struct {
	collectorv1.UnimplementedTraceServiceServer
	lost *atomic.Uint64

	mu         sync.Mutex
	young, old map[[16]byte]point // where spans of a proxy's trace belong
	turned     time.Time
	waiting    []parcel
	spans      int // in waiting
	bytes      int // likewise
}

// parcel is spans of the proxy.
type parcel struct {
	came time.Time
	list []*tracev1.ResourceSpans
	n    int
	size int
}

// Register adds the service that the proxy sends its spans to.
func (t *Tracer) Register(g *grpc.Server) { collectorv1.RegisterTraceServiceServer(g, t.Relay()) }

// keep has spans of the proxy's trace go to home.
func (r *relay) keep(trace [16]byte, home point, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) > memory || len(r.young) >= maxKept {
		r.young, r.old, r.turned = make(map[[16]byte]point), r.young, now
	}
	r.young[trace] = home
}

// Export implements OTLP's service. It never keeps the proxy waiting.
func (r *relay) Export(_ context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	n := 0
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			n += len(ss.Spans)
		}
	}
	size := proto.Size(req) // of attributes, events and links, which can be large where the spans are few
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.spans+n > maxSpans, r.bytes+size > maxBytes:
		r.lost.Add(uint64(n))
	case n > 0:
		r.spans, r.bytes = r.spans+n, r.bytes+size
		r.waiting = append(r.waiting, parcel{time.Now(), req.ResourceSpans, n, size})
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// ready returns spans that came before the time, where they belong; those of
// exchanges that are not kept are left out.
func (r *relay) ready(before time.Time) (out []*tracev1.ResourceSpans, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) > 0 && r.waiting[0].came.Before(before) {
		p := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.spans, r.bytes = r.spans-p.n, r.bytes-p.size
		for _, rs := range p.list {
			left := 0
			for _, ss := range rs.ScopeSpans {
				kept := ss.Spans[:0]
				for _, s := range ss.Spans {
					if r.move(s) {
						kept = append(kept, s)
					}
				}
				ss.Spans = kept
				left += len(kept)
			}
			if left > 0 {
				out = append(out, rs)
				n += left
			}
		}
	}
	if len(r.waiting) == 0 {
		r.waiting = nil
	}
	return out, n
}

// move puts a span where it belongs. ok is false for one of no exchange that is kept.
func (r *relay) move(s *tracev1.Span) (ok bool) {
	if len(s.TraceId) != 16 {
		return false
	}
	trace := [16]byte(s.TraceId)
	home, ok := r.young[trace]
	if !ok {
		if home, ok = r.old[trace]; !ok {
			return false
		}
	}
	s.TraceId = home.trace[:]
	if len(s.ParentSpanId) == 0 && home.span != [8]byte{} {
		s.ParentSpanId = home.span[:]
	}
	for _, a := range s.Attributes {
		if a.Key == "http.url" { // its query is nobody's business
			url, _, _ := strings.Cut(a.GetValue().GetStringValue(), "?")
			a.Value = &commonv1.AnyValue{Value: text(url)}
		}
	}
	return true
}

// Relay returns the service that the proxy sends its spans to.
func (t *Tracer) Relay() collectorv1.TraceServiceServer { return &t.relay }
