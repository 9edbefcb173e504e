package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/trace"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/xds"
)

// traces keeps and sends traces, for as long as the process lives.
type traces struct {
	*trace.Tracer // nil where nothing is traced
	client        otlptrace.Client
	key           []byte // of hashes
}

func openTraces(c config.TelemetryExport, id string, log *slog.Logger) (t traces, err error) {
	if !c.OTLP.On() || !c.Traces.Export {
		return t, nil
	}
	if t.key, err = hashKey(c.Traces.HashKey); err != nil {
		return t, fmt.Errorf("telemetry.traces.hash_key: %w", err)
	}
	if t.client, err = traceClient(c.OTLP); err != nil {
		return t, fmt.Errorf("telemetry.otlp: %w", err)
	}
	if err := t.client.Start(context.Background()); err != nil {
		return t, fmt.Errorf("telemetry.otlp: %w", err)
	}
	own := &resourcev1.Resource{}
	for _, kv := range about(c, id).Attributes() {
		own.Attributes = append(own.Attributes, &commonv1.KeyValue{Key: string(kv.Key), Value: &commonv1.AnyValue{
			Value: &commonv1.AnyValue_StringValue{StringValue: kv.Value.AsString()},
		}})
	}
	t.Tracer = trace.New(trace.Options{
		Upload: t.client, Resource: own, Queue: c.Traces.Queue, PerSecond: c.Traces.PerSecond, Timeout: c.OTLP.Timeout, Log: log,
	})
	return t, nil
}

// hashKey returns the key of hashes; one that this process alone has, where none is
// configured.
func hashKey(ref notation.SecretRef) ([]byte, error) {
	if ref.Kind == "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		return key, nil
	}
	s, err := ref.Resolve()
	if err != nil {
		return nil, err
	}
	return []byte(s.Reveal()), nil
}

func (t *traces) close(ctx context.Context) error {
	if t.Tracer == nil {
		return nil
	}
	err := t.Tracer.Close(ctx)
	if stop := t.client.Stop(ctx); err == nil {
		err = stop
	}
	return err
}

func (t *traces) counts() trace.Counts {
	if t.Tracer == nil {
		return trace.Counts{}
	}
	return t.Tracer.Counts()
}

// under is told of what happens under a configuration; nil where nothing is traced.
func (t *traces) under(cfg *config.Config) guard.Observer {
	if t.Tracer == nil {
		return nil
	}
	show := func(what string) bool { return slices.Contains(cfg.Telemetry.Traces.AISpans, what) }
	c := cfg.Export.Traces
	return t.Under(trace.Policy{
		Show: trace.Show{
			Hashes: show("prompt_hashes"), Tools: show("tool_metadata"), Tokens: show("token_usage"), Cost: show("cost_tracking"), Latencies: show("latency_percentiles"),
		},
		Sample: c.Sample, ProxyChooses: c.Envoy == "sampled", Slow: c.SlowerThan, Key: t.key,
	})
}

// stamp finds among the observers the one that knows traces, and has it tell
// servers their place.
func stamp(s *gate.Snapshot, observers []guard.Observer) func(*guard.Exchange, *mcp.Message) []mcp.Edit {
	for _, o := range observers {
		if t, ok := o.(gate.Tracer); ok {
			s.Tracer = t
			return t.Stamp
		}
	}
	return nil
}

// envoyTracing is what Envoy is told of traces.
func envoyTracing(cfg *config.Config) *xds.Tracing {
	c := cfg.Export
	if !c.OTLP.On() || !c.Traces.Export || c.Traces.Envoy == "none" {
		return nil
	}
	t := &xds.Tracing{Sample: c.Traces.Sample, ServiceName: c.ServiceName + "-envoy"}
	if c.Traces.Envoy == "all" {
		t.Sample = 1
	}
	if t.Sample == 0 { // refusals and the like are kept, of which Envoy cannot know beforehand
		return nil
	}
	return t
}

func traceClient(c config.OTLP) (otlptrace.Client, error) {
	d, err := dial(c)
	if err != nil {
		return nil, err
	}
	if c.Protocol == "http" {
		o := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(d.below("/v1/traces")), otlptracehttp.WithHeaders(d.headers), otlptracehttp.WithTimeout(c.Timeout)}
		if d.tls != nil {
			o = append(o, otlptracehttp.WithTLSClientConfig(d.tls))
		}
		if c.Compression == "gzip" {
			o = append(o, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		}
		return otlptracehttp.NewClient(o...), nil
	}
	o := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(d.url.Host), otlptracegrpc.WithHeaders(d.headers), otlptracegrpc.WithTimeout(c.Timeout)}
	if d.tls != nil {
		o = append(o, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(d.tls)))
	} else {
		o = append(o, otlptracegrpc.WithInsecure())
	}
	if c.Compression == "gzip" {
		o = append(o, otlptracegrpc.WithCompressor("gzip"))
	}
	return otlptracegrpc.NewClient(o...), nil
}
