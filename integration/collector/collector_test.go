// Package collector shows traces to a real OpenTelemetry Collector.
package collector

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// binary returns the Collector that `make collector` builds.
func binary(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("SALLYPORT_OTELCOL"); p != "" {
		return p
	}
	p := filepath.Join(testenv.Root(), ".tools/otelcol")
	if _, err := os.Stat(p); err != nil {
		testenv.Missing(t, "OpenTelemetry Collector: run `make collector`, or set SALLYPORT_OTELCOL")
	}
	return p
}

const config = `receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:%d", tls: {cert_file: %[3]s, key_file: %[4]s}}
      http: {endpoint: "127.0.0.1:%[2]d", tls: {cert_file: %[3]s, key_file: %[4]s}}
processors: {batch: {timeout: 200ms}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [debug]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [debug]}
`

// server is an MCP server with a tool, which answers as JSON or as an event stream.
func server(t testing.TB, stream bool) string {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "crm", Version: "1"}, nil)
	for _, name := range []string{"read", "rare"} {
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: "Reads."}, func(context.Context, *sdk.CallToolRequest, struct{}) (*sdk.CallToolResult, any, error) {
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "here"}}}, nil, nil
		})
	}
	h := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{JSONResponse: !stream}))
	t.Cleanup(h.Close)
	return h.URL
}

func call(t testing.TB, url, tool, traceparent string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, &sdk.StreamableClientTransport{Endpoint: url, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.CallTool(ctx, &sdk.CallToolParams{Meta: sdk.Meta{"traceparent": traceparent}, Name: tool, Arguments: map[string]any{}})
	return err
}

// One trace from an SDK's client through Envoy, each guard and the server, as a real
// Collector shows it: for JSON, an event stream and a refusal.
func TestACollectorShowsOneTrace(t *testing.T) {
	testenv.Heavy(t)
	bin := binary(t)
	for _, protocol := range []string{"grpc", "http"} {
		t.Run(protocol, func(t *testing.T) {
			dir, authority := t.TempDir(), testenv.NewAuthority(t)
			ca, _ := authority.Write(t, dir, "ca")
			cert, key := authority.Issue(t, time.Hour).Write(t, dir, "collector")
			ports := map[string]int{"grpc": testenv.FreePort(t), "http": testenv.FreePort(t)}
			file := filepath.Join(t.TempDir(), "collector.yaml")
			testenv.Write(t, file, fmt.Sprintf(config, ports["grpc"], ports["http"], cert, key))
			c := testenv.Launch(t, bin, "--config="+file)
			testenv.Eventually(t, time.Minute, "the collector", func() bool { return strings.Contains(c.Text(), "Everything is ready") })
			g := testenv.Start(t, fmt.Sprintf("  - {name: json, url: %q}\n  - {name: events, url: %q}\n", server(t, false), server(t, true)), fmt.Sprintf(
				"telemetry:\n  otlp: {endpoint: \"https://127.0.0.1:%d\", protocol: %s, ca: %s, compression: gzip}\n  traces: {sample: 1}\n  metrics: {interval: 1s}\n"+
					"telemetry_configuration: {traces: {ai_spans: [prompt_hashes, tool_metadata, token_usage, cost_tracking, latency_percentiles]}}\n"+
					"guards:\n  quota: {rules: [{name: rare, by: [principal], tools: [rare], limit: \"1/hour\"}]}\n", ports[protocol], protocol, ca))
			trace := func(n int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0000%04x", n) }
			parent := func(n int) string { return "00-" + trace(n) + "-00f067aa0ba902b7-01" }
			for n, tt := range []struct{ server, tool string }{{"json", "read"}, {"events", "read"}, {"json", "rare"}, {"json", "rare"}} {
				if err := call(t, g.MCP+"/mcp/"+tt.server, tt.tool, parent(n)); (err != nil) != (n == 3) {
					t.Fatalf("call %d: %v", n, err)
				}
			}
			want := func(n int, names ...string) func() bool {
				return func() bool {
					for _, name := range names {
						if !spans(c.Text(), trace(n))[name] {
							return false
						}
					}
					return true
				}
			}
			const proc = "async envoy.service.ext_proc.v3.ExternalProcessor.Process egress"
			testenv.Eventually(t, time.Minute, "the trace of a call answered as JSON", want(0, "tools/call read", "ingress", proc, "router mcp/json/default egress"))
			testenv.Eventually(t, time.Minute, "the trace of a call answered as events", want(1, "tools/call read", "ingress", proc, "router mcp/events/default egress"))
			testenv.Eventually(t, time.Minute, "the trace of a refusal", want(3, "tools/call rare", "ingress", proc))
			for _, text := range []string{"sallyport.guard: Str(quota)", "error.type: Str(quota_exceeded)", "gen_ai.operation.name: Str(execute_tool)", "mcp.server.operation.duration", "service.name: Str(sallyport-envoy)"} {
				testenv.Eventually(t, time.Minute, text, func() bool { return strings.Contains(c.Text(), text) })
			}
		})
	}
}

var block = regexp.MustCompile(`(?s)Trace ID\s+: ([0-9a-f]{32}).*?Name\s+: ([^\n]+)`)

// spans returns the names of the spans of a trace, as the Collector printed them.
func spans(text, trace string) map[string]bool {
	out := make(map[string]bool)
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		if m[1] == trace {
			out[strings.TrimSpace(m[2])] = true
		}
	}
	return out
}

func TestTheCollectorsConfigurationIsValid(t *testing.T) {
	testenv.Heavy(t)
	out, err := exec.CommandContext(t.Context(), binary(t), "validate", "--config="+filepath.Join(testenv.Root(), "deploy/otel/collector.yaml")).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
