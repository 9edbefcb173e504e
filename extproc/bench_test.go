package extproc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/internal/trace"
	"github.com/sallyport/sallyport/mcp"
)

// BenchmarkExchange is what the gateway's own code costs for one tools/call and
// its JSON answer: everything but gRPC and protobuf decoding.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{200, 10 << 10} {
		for _, how := range []string{"alone", "observed", "traced"} { // a tenth of the exchanges
			b.Run(fmt.Sprintf("size=%d/%s", size, how), func(b *testing.B) {
				snap := benchSnapshot(b, how)
				call := benchCall(size)
				ctx := metadata.NewIncomingContext(b.Context(), metadata.MD{})
				b.ReportAllocs()
				for b.Loop() {
					answers := 0
					m := newMachine(snap, "", func(*extprocv3.ProcessingResponse) error { answers++; return nil })
					m.wishes = envoymap.Wishes{Lean: true, Relayed: how == "traced"} // as under our own xDS
					for _, msg := range call {
						if err := m.step(ctx, msg); err != nil {
							b.Fatal(err)
						}
					}
					if err := m.settle(ctx, nil); err != nil {
						b.Fatal(err)
					}
					if answers != 4 || m.ending != guard.Completed {
						b.Fatalf("%d answers, ending %v", answers, m.ending)
					}
				}
			})
		}
	}
}

// nobody takes spans, and loses them.
type nobody struct{}

func (nobody) UploadTraces(context.Context, []*tracev1.ResourceSpans) error { return nil }

func benchSnapshot(b *testing.B, how string) *gate.Snapshot {
	decoder := mcp.NewDecoder(mcp.Config{})
	members, err := guard.Assemble([]guard.Spec{envelope.Spec()}, func(string) guard.Setting {
		return guard.Setting{Timeout: time.Second, Decode: func(any) error { return nil }}
	})
	if err != nil {
		b.Fatal(err)
	}
	var observers []guard.Observer
	if how != "alone" {
		receipts := audit.New(io.Discard, 8192, audit.Block, slog.New(slog.DiscardHandler))
		b.Cleanup(func() { _ = receipts.Close(b.Context()) })
		metrics, err := telemetry.New(nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		observers = append(observers, receipts, metrics)
	}
	host := guard.Host{Now: time.Now, Decoder: decoder, Await: gate.Await}
	var tracer gate.Tracer
	if how == "traced" {
		t := trace.New(trace.Options{Upload: nobody{}, Queue: 2048, PerSecond: 1 << 30, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)})
		b.Cleanup(func() { _ = t.Close(context.Background()) })
		rules := t.Under(trace.Policy{Sample: 0.1, Slow: time.Minute, Key: []byte("key"), Show: trace.Show{Hashes: true, Tools: true, Tokens: true, Cost: true, Latencies: true}})
		tracer, host.Stamp = rules, rules.Stamp
		observers = append(observers, rules)
	}
	host.Observers = observers
	chain, err := guard.New(host, members...)
	if err != nil {
		b.Fatal(err)
	}
	return &gate.Snapshot{
		Chain: chain, Decoder: decoder, Tracer: tracer,
		Limits: gate.Limits{Body: 4 << 20, Response: 16 << 20, Event: 1 << 20, ResponseTime: time.Minute},
		View: registry.NewView([]registry.Server{{Name: "echo", Owner: "o", Domain: "d", Classification: registry.Internal,
			Versions: []registry.Version{{Name: "default", Weight: 100, Scheme: "http", Path: "/"}}}}),
	}
}

// benchCall is what Envoy says about one call.
func benchCall(size int) []*extprocv3.ProcessingRequest {
	headers := func(pairs ...string) *corev3.HeaderMap {
		m := &corev3.HeaderMap{}
		for i := 0; i < len(pairs); i += 2 {
			m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
		}
		return m
	}
	text := strings.Repeat("The quick brown fox jumps. ", size/27+1)[:size]
	request := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` + text + `"}}}`
	reply := `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` + text + `"}]}}`
	return []*extprocv3.ProcessingRequest{
		{
			Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: headers(
				":authority", "127.0.0.1:8080", ":path", "/mcp/echo", ":method", "POST", ":scheme", "http",
				"user-agent", "mcpload", "mcp-protocol-version", "2025-11-25", "mcp-session-id", "bench-1",
				"content-type", "application/json", "accept", "application/json, text/event-stream",
				"content-length", fmt.Sprint(len(request)), "x-forwarded-proto", "http", "x-request-id", "8d5f5b5c-7f3a-4f5e-9d3e-1c6c3f6b8a11",
			)}},
			ProtocolConfig: &extprocv3.ProtocolConfiguration{
				RequestBodyMode: filterv3.ProcessingMode_BUFFERED, ResponseBodyMode: filterv3.ProcessingMode_FULL_DUPLEX_STREAMED,
			},
		},
		{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte(request), EndOfStream: true}}},
		{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{Headers: headers(
			":status", "200", "content-type", "application/json", "content-length", fmt.Sprint(len(reply)), "x-envoy-upstream-service-time", "0",
		)}}},
		{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte(reply), EndOfStream: true}}},
	}
}
