package telemetry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// upstream is an MCP server of the official SDK behind a handler that keeps what
// reaches it.
type upstream struct {
	url    string
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
}

func startUpstream(t testing.TB, stream bool) *upstream {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "crm", Version: "1"}, nil)
	type in struct {
		Text string `json:"text"`
	}
	for _, name := range []string{"echo", "fail", "rare"} {
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: "Says it again."}, func(_ context.Context, _ *sdk.CallToolRequest, i in) (*sdk.CallToolResult, any, error) {
			return &sdk.CallToolResult{IsError: name == "fail", Content: []sdk.Content{&sdk.TextContent{Text: i.Text}}}, nil, nil
		})
	}
	h := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{JSONResponse: !stream})
	u := &upstream{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.bodies, u.heads = append(u.bodies, string(b)), append(u.heads, r.Header.Clone())
		u.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(b)))
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	u.url = web.URL
	return u
}

// call returns the headers and the body of the last call that has the mark in it.
func (u *upstream) call(mark string) (http.Header, string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := len(u.bodies) - 1; i >= 0; i-- {
		if strings.Contains(u.bodies[i], mark) {
			return u.heads[i], u.bodies[i]
		}
	}
	return nil, ""
}

// instrumented is a transport that tells its place as OpenTelemetry's for HTTP does.
type instrumented struct{ traceparent, tracestate string }

func (i *instrumented) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if i.traceparent != "" {
		r.Header.Set("traceparent", i.traceparent)
	}
	if i.tracestate != "" {
		r.Header.Set("tracestate", i.tracestate)
	}
	return http.DefaultTransport.RoundTrip(r)
}

const tracing = `telemetry:
  otlp: {endpoint: "http://%s", headers: [{name: x-token, value: "file:%s"}]}
  traces: {sample: %s, per_second: 1000, envoy: %s, hash_key: "file:%[2]s"}
  metrics: {interval: 1s}
telemetry_configuration:
  traces:
    ai_spans: [prompt_hashes, tool_metadata, token_usage, cost_tracking, latency_percentiles]
  metrics: {high_cardinality_labels: [tenant_id, agent_role, mcp_server, data_classification, tool]}
guards:
  quota: {rules: [{name: rare, by: [principal], tools: [rare], limit: "1/hour"}]}
`

func start(t testing.TB, r *receiver, sample, envoy string, servers ...*upstream) *testenv.Gateway {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	list := ""
	for i, u := range servers {
		list += fmt.Sprintf("  - {name: s%d, url: %q, data_classification: internal, tools: [{name: echo, risk: low}]}\n", i, u.url)
	}
	return testenv.Start(t, list, fmt.Sprintf(tracing, r.address, secret, sample, envoy))
}

// client is a session of the official SDK.
func client(t testing.TB, url string, i *instrumented) *sdk.ClientSession {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	s, err := c.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: i}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func call(t testing.TB, s *sdk.ClientSession, tool, text string, meta map[string]any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.CallTool(ctx, &sdk.CallToolParams{Meta: meta, Name: tool, Arguments: map[string]any{"text": text}})
	return err
}

func traceID(n int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0000%04x", n) }

func parent(trace string) string { return "00-" + trace + "-00f067aa0ba902b7-01" }

// One trace, from the client through Envoy and each guard to the server: as JSON,
// as an event stream, and refused.
func TestOneTraceFromClientToServer(t *testing.T) {
	r := startReceiver(t)
	asJSON, asEvents := startUpstream(t, false), startUpstream(t, true)
	g := start(t, r, "1", "sampled", asJSON, asEvents)
	cases := []struct {
		name   string
		server int
		tool   string
		header string // trace
		body   string
		refuse bool
		fail   bool
	}{
		{name: "JSON, told by headers", tool: "echo", header: traceID(1)},
		{name: "JSON, told in the body", tool: "echo", body: traceID(2)},
		{name: "JSON, told by both", tool: "echo", header: traceID(3), body: traceID(3)},
		{name: "an event stream", server: 1, tool: "echo", header: traceID(4), body: traceID(4)},
		{name: "an event stream, told in the body", server: 1, tool: "echo", body: traceID(5)},
		{name: "a refusal", tool: "rare", header: traceID(6), refuse: true},
		{name: "a tool's error", tool: "fail", header: traceID(7), fail: true},
	}
	for i, tt := range cases { // all of them first: Envoy sends its spans every second
		in := &instrumented{}
		s := client(t, fmt.Sprintf("%s/mcp/s%d", g.MCP, tt.server), in)
		if tt.refuse {
			_ = call(t, s, tt.tool, "first", nil)
		}
		meta := map[string]any{}
		if tt.header != "" {
			in.traceparent, in.tracestate = parent(tt.header), "v=1"
		}
		if tt.body != "" {
			meta["traceparent"], meta["tracestate"] = parent(tt.body), "b=2"
		}
		if err := call(t, s, tt.tool, fmt.Sprintf("mark-%d", i), meta); (err != nil) != tt.refuse {
			t.Fatal(tt.name, err)
		}
		in.traceparent = ""
	}
	for i, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			trace, mark := tt.body, fmt.Sprintf("mark-%d", i)
			if tt.header != "" {
				trace = tt.header
			}
			var own, ingress span
			var names map[string]span
			testenv.Eventually(t, time.Minute, "the spans", func() bool {
				own, ingress = span{}, span{}
				for _, s := range r.of(trace) {
					switch {
					case s.service == "sallyport":
						own = s
					case s.name == "ingress":
						ingress = s
					}
				}
				names = map[string]span{}
				for _, s := range r.of(trace) {
					names[s.id] = s
				}
				_, called := names[own.parent] // Envoy sends its spans as they end
				return own.id != "" && ingress.id != "" && called && (tt.refuse || len(names) >= 4)
			})
			if ingress.parent != "00f067aa0ba902b7" || ingress.service != "sallyport-envoy" {
				t.Errorf("Envoy's span is not the caller's: %+v", ingress)
			}
			if up := names[own.parent]; up.parent != ingress.id || !strings.Contains(up.name, "ext_proc") {
				t.Errorf("the gateway's span is not below Envoy's: %+v", own)
			}
			check(t, own, tt.tool)
			if tt.refuse {
				if own.attributes["error.type"] != "quota_exceeded" || own.attributes["sallyport.guard"] != "quota" || !own.failed {
					t.Errorf("got %+v", own)
				}
				return
			}
			if own.failed != tt.fail || tt.fail && own.attributes["error.type"] != "tool_error" {
				t.Errorf("got %+v", own)
			}
			u := []*upstream{asJSON, asEvents}[tt.server]
			h, b := u.call(mark)
			want := fmt.Sprintf("00-%s-%s-01", trace, own.id)
			if h.Get("traceparent") != want {
				t.Errorf("the server is told %q, want %q", h.Get("traceparent"), want)
			}
			if state := map[bool]string{true: "v=1", false: "b=2"}[tt.header != ""]; h.Get("tracestate") != state {
				t.Errorf("tracestate %q, want %q", h.Get("tracestate"), state)
			}
			if strings.Contains(b, "traceparent") != (tt.body != "") || tt.body != "" && !strings.Contains(b, want) {
				t.Errorf("the server reads %s", b)
			}
			for name := range h {
				if strings.HasPrefix(strings.ToLower(name), "x-sallyport-") && name != "X-Sallyport-Id" {
					t.Errorf("the server gets %s", name)
				}
			}
		})
	}
	t.Run("metrics are sent, and every one that is shown is on the page", func(t *testing.T) {
		testenv.Eventually(t, time.Minute, "metrics", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.metrics["mcp.server.operation.duration"] && r.metrics["mcp.gateway.ready"]
		})
		page, err := os.ReadFile(filepath.Join(testenv.Root(), "docs/metrics.md"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(g.Get(t, "/metrics")) {
			if name, ok := strings.CutPrefix(line, "# TYPE mcp_"); ok {
				n++
				name, _, _ = strings.Cut(name, " ")
				if !strings.Contains(string(page), "| `mcp_"+name+"` |") {
					t.Errorf("docs/metrics.md lacks mcp_%s", name)
				}
			}
		}
		if n < 20 {
			t.Errorf("%d metrics", n)
		}
		if m := g.Get(t, "/metrics"); !strings.Contains(m, `outcome="refused",server="s0",tenant_id="none",tool="rare"} 1`) {
			t.Error("the refusal is not counted by tool")
		}
	})
	t.Run("receipts name the trace", func(t *testing.T) {
		if kept := g.Receipts(t); strings.Count(kept, `"trace_id":"`+traceID(3)+`"`) != 2 {
			t.Error(kept)
		}
	})
}

// check looks for what the conventions ask for, and for what must not be there.
func check(t testing.TB, s span, tool string) {
	t.Helper()
	if s.name != "tools/call "+tool || s.end < s.start {
		t.Errorf("name %q, from %d to %d", s.name, s.start, s.end)
	}
	for key, want := range map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": tool, "gen_ai.operation.name": "execute_tool", "mcp_server": "s",
		"data_classification": "internal", "network.transport": "tcp", "mcp.protocol.version": "20", "jsonrpc.request.id": "", "sallyport.exchange.id": "",
	} {
		if got, ok := s.attributes[key]; !ok || !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if len(s.attributes["sallyport.arguments.hash"]) != 32 || strings.Contains(fmt.Sprint(s), "mark-") {
		t.Errorf("arguments in clear, or no hash: %+v", s)
	}
	guards := 0
	for _, e := range s.events {
		if e.name == "guard" && e.attributes["sallyport.guard"] != "" && e.attributes["sallyport.action"] != "" && e.attributes["sallyport.duration"] != "" {
			guards++
		}
	}
	if guards < 2 {
		t.Errorf("%d verdicts of guards: %+v", guards, s.events)
	}
}
