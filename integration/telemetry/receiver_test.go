// Package telemetry tests traces, metrics and access logs of the whole gateway
// with a real Envoy and a receiver that speaks the OpenTelemetry protocol.
package telemetry

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"

	metricsv1 "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// span is one that the receiver got, in words.
type span struct {
	trace, id, parent, service, name string
	start, end                       uint64
	attributes                       map[string]string
	events                           []event
	links                            []string // traces
	failed                           bool
}

type event struct {
	name       string
	attributes map[string]string
}

// receiver keeps what is sent to it, if the token is right.
type receiver struct {
	collectorv1.UnimplementedTraceServiceServer
	address string

	mu      sync.Mutex
	spans   []span
	metrics map[string]bool
	strange int // calls without the token
}

type metricsSide struct {
	metricsv1.UnimplementedMetricsServiceServer
	r *receiver
}

const token = "let-me-in"

func startReceiver(t testing.TB) *receiver {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: lis.Addr().String(), metrics: make(map[string]bool)}
	g := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(g, r)
	metricsv1.RegisterMetricsServiceServer(g, metricsSide{r: r})
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	return r
}

func (r *receiver) admit(ctx context.Context) error {
	if v := metadata.ValueFromIncomingContext(ctx, "x-token"); len(v) != 1 || v[0] != token {
		r.strange++
		return status.Error(codes.Unauthenticated, "who are you")
	}
	return nil
}

// Export implements OTLP.
func (r *receiver) Export(ctx context.Context, req *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(ctx); err != nil {
		return nil, err
	}
	for _, rs := range req.ResourceSpans {
		service := words(rs.Resource.GetAttributes())["service.name"]
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				r.spans = append(r.spans, inWords(service, s))
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// Export implements OTLP.
func (m metricsSide) Export(ctx context.Context, req *metricsv1.ExportMetricsServiceRequest) (*metricsv1.ExportMetricsServiceResponse, error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if err := m.r.admit(ctx); err != nil {
		return nil, err
	}
	for _, rm := range req.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, one := range sm.Metrics {
				m.r.metrics[one.Name] = true
			}
		}
	}
	return &metricsv1.ExportMetricsServiceResponse{}, nil
}

func inWords(service string, s *tracev1.Span) span {
	out := span{
		trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId), parent: hex.EncodeToString(s.ParentSpanId),
		service: service, name: s.Name, start: s.StartTimeUnixNano, end: s.EndTimeUnixNano, attributes: words(s.Attributes),
		failed: s.Status.GetCode() == tracev1.Status_STATUS_CODE_ERROR,
	}
	for _, e := range s.Events {
		out.events = append(out.events, event{e.Name, words(e.Attributes)})
	}
	for _, l := range s.Links {
		out.links = append(out.links, hex.EncodeToString(l.TraceId))
	}
	return out
}

func words(list []*commonv1.KeyValue) map[string]string {
	out := make(map[string]string)
	for _, kv := range list {
		v := kv.Value.String()
		if _, rest, ok := strings.Cut(v, ":"); ok {
			v = strings.Trim(rest, `"`)
		}
		out[kv.Key] = v
	}
	return out
}

// of returns what came of a trace.
func (r *receiver) of(trace string) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []span
	for _, s := range r.spans {
		if s.trace == trace {
			out = append(out, s)
		}
	}
	return out
}
