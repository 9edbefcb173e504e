// Package quota tests limits of calls through real gateways, with real Envoys,
// a real Redis and real clients of both eras.
package quota

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// guide is the guide's block, word for word.
const guide = "  rate_limiting:\n    per_principal: \"1000/hour\"\n    per_tool: \"100/hour\"\n    adaptive_surge: true\n"

func server(t testing.TB) string {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "echo", Version: "1"}, nil)
	for _, name := range []string{"echo", "other"} {
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: "Says it again."}, func(_ context.Context, _ *sdk.CallToolRequest, in struct {
			Text string `json:"text"`
		}) (*sdk.CallToolResult, any, error) {
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: in.Text}}}, nil, nil
		})
	}
	sessions := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil)
	modern := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") == "2026-07-28" {
			modern.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h.URL
}

// gateway starts one in front of an echo server. block goes into its gateway
// block, more beside it.
func gateway(t testing.TB, url, block, more string) *testenv.Gateway {
	t.Helper()
	text := testenv.Config(t, "  - {name: echo, url: "+url+"}\n", more)
	text = strings.Replace(text, "authorization: {policy_engine: none}\n", "authorization: {policy_engine: none}\n"+block, 1)
	path := t.TempDir() + "/sallyport.yaml"
	testenv.Write(t, path, text)
	return testenv.StartFile(t, path)
}

const modern = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"TOOL","arguments":{"text":"x"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"NAME","version":"8"},"io.modelcontextprotocol/clientCapabilities":{}}}}`

// stateless calls a tool as a client of 2026-07-28 does, without a session.
func stateless(t testing.TB, g *testenv.Gateway, tool, name string) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, h, body := post(ctx, g, tool, name)
	if code == 0 {
		t.Error(body)
	}
	return code, h, body
}

// post is stateless for calls that may be given up; the status is 0 then.
func post(ctx context.Context, g *testenv.Gateway, tool, name string) (int, http.Header, string) {
	r, err := testenv.PostBy(ctx, http.DefaultClient, g.MCP+"/mcp/echo", strings.NewReplacer("TOOL", tool, "NAME", name).Replace(modern),
		"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool)
	if err != nil {
		return 0, nil, err.Error()
	}
	return r.StatusCode, r.Header, r.Text
}

// caller calls as a client of one revision.
func caller(t testing.TB, g *testenv.Gateway, revision string) func(tool string) error {
	t.Helper()
	call := testenv.Caller(t, g.MCP+"/mcp/echo", revision, nil)
	return func(tool string) error { return call(tool, map[string]any{"text": "x"}) }
}

func TestAnIdleServerLendsWhatTheLimitAllows(t *testing.T) {
	g := gateway(t, server(t), "  rate_limiting: {per_principal: 10/hour, adaptive_surge: true}\n", "guards: {quota: {lend: 50}, surge: {tolerance: 1000}}\n") // a busy machine is not taken for a busy server
	for i := range 16 {
		code, h, body := stateless(t, g, "echo", "x")
		if want := map[bool]int{true: 200, false: 429}[i < 15]; code != want {
			t.Errorf("call %d of 10 and 5 lent: %d, %s, %s", i+1, code, h.Get("RateLimit"), body)
		}
	}
}

func TestTheGuidesBlockTakesEffectForClientsOfBothEras(t *testing.T) {
	g := gateway(t, server(t), guide, "")
	call, free := caller(t, g, "2025-11-25"), caller(t, g, "2026-07-28")
	for i := range 50 {
		if err := call("echo"); err != nil {
			t.Fatalf("session call %d: %v", i, err)
		}
		if code, _, body := stateless(t, g, "echo", "client"+strconv.Itoa(i)); code != 200 {
			t.Fatalf("stateless call %d: %d %s", i, code, body)
		}
	}
	// 100 calls of one tool: both are at the end, whatever they call themselves.
	code, h, body := stateless(t, g, "echo", "somebody else")
	if wait, err := strconv.Atoi(h.Get("Retry-After")); code != 429 || err != nil || wait < 3000 || wait > 3800 ||
		!strings.Contains(body, `"id":7`) || !strings.Contains(body, "-31429") || !strings.Contains(body, "Limit per_tool: 100/hour. Try again in ") {
		t.Errorf("stateless: %d, Retry-After %q, %s", code, h.Get("Retry-After"), body)
	}
	for name, again := range map[string]func(string) error{
		"session": call, "a new session": caller(t, g, "2025-11-25"), "no session": free,
	} {
		if err := again("echo"); err == nil || !strings.Contains(err.Error(), "quota of calls is used up") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, l := h.Get("RateLimit-Policy"), h.Get("RateLimit"); p != `"per_principal";q=1000;w=3600, "per_tool";q=100;w=3600` || !strings.HasPrefix(l, `"per_tool";r=0;t=`) {
		t.Errorf("headers of a refusal: %s; %s", p, l)
	}
	if _, h, _ := stateless(t, g, "other", "x"); h.Get("RateLimit") != `"per_principal";r=899;t=3600, "per_tool";r=99;t=3600;pk=:ZWNoby9vdGhlcg==:` {
		t.Errorf("headers of a reply: %s", h.Get("RateLimit"))
	}
	if status := g.Get(t, "/v1/status"); !strings.Contains(status, `"server": "echo"`) && !strings.Contains(status, `"server":"echo"`) {
		t.Errorf("no limit follows the server: %s", status)
	}
	if err := call("other"); err != nil {
		t.Errorf("another tool: %v", err)
	}
	if code, _, body := stateless(t, g, "other", "x"); code != 200 {
		t.Errorf("another tool: %d %s", code, body)
	}
}

// waiting is a server whose calls are over when the test says so.
func waiting(t testing.TB) (url string, over chan struct{}, here *atomic.Int64) {
	t.Helper()
	over, here = make(chan struct{}), new(atomic.Int64)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or nobody notices that the client has gone
		here.Add(1)
		defer here.Add(-1)
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": open\n\n")
			w.(http.Flusher).Flush()
		}
		select {
		case <-over:
		case <-r.Context().Done():
			return
		}
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{"content":[],"resultType":"complete"}}`)
		}
	}))
	t.Cleanup(h.Close)
	return h.URL, over, here
}

func TestCallsInFlightAreOverWhenTheirReplyIs(t *testing.T) {
	url, over, here := waiting(t)
	r := testenv.StartRedis(t)
	g := gateway(t, url, "", "redis: {addresses: [\""+r.Address+"\"], timeout: 900ms}\nguards: {quota: {rules: [{name: at_once, by: [principal], in_flight: 2}]}}\n")
	answers := make(chan int, 2)
	for range 2 {
		go func() {
			code, _, _ := stateless(t, g, "echo", "x")
			answers <- code
		}()
	}
	testenv.Eventually(t, time.Minute, "both are at the server", func() bool { return here.Load() == 2 })
	var h http.Header
	var body string
	testenv.Eventually(t, time.Minute, "a third is refused", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var code int
		code, h, body = post(ctx, g, "echo", "x")
		return code == 429
	})
	if h.Get("RateLimit-Policy") != `"at_once";q=2;qu="concurrent-requests"` || h.Get("RateLimit") != `"at_once";r=0` || h.Get("Retry-After") != "1" || !strings.Contains(body, "Limit at_once: 2 calls at once.") {
		t.Errorf("%v\n%s", h, body)
	}
	close(over)
	for range 2 {
		if code := <-answers; code != 200 {
			t.Errorf("a call in flight: %d", code)
		}
	}
	testenv.Eventually(t, time.Minute, "there is room again", func() bool {
		code, _, _ := stateless(t, g, "echo", "x")
		return code == 200
	})
}

func TestOpenStreamsAndBytes(t *testing.T) {
	url, over, _ := waiting(t)
	g := gateway(t, url, "", "guards: {quota: {rules: [{name: streams, streams: 1}, {name: volume, bytes: 2KiB/hour}]}}\n")
	listen := func(ctx context.Context) (int, io.ReadCloser) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.MCP+"/mcp/echo", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("MCP-Protocol-Version", "2025-11-25")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Body
	}
	ctx, leave := context.WithCancel(t.Context())
	code, one := listen(ctx)
	if code != 200 {
		t.Fatalf("a stream: %d", code)
	}
	code, two := listen(t.Context())
	if text, _ := io.ReadAll(two); code != 429 || !strings.Contains(string(text), "1 streams at once") {
		t.Errorf("a second: %d %s", code, text)
	}
	leave()
	_ = one.Close()
	testenv.Eventually(t, time.Minute, "the place is free", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		code, again := listen(ctx)
		_ = again.Close()
		return code == 200
	})
	close(over)
	calls := 0
	testenv.Eventually(t, time.Minute, "2 KiB are used up", func() bool {
		calls++
		code, _, body := stateless(t, g, "echo", "x")
		if code == 429 && !strings.Contains(body, "Limit volume: 2048 bytes/hour.") {
			t.Fatal(body)
		}
		return code == 429
	})
	if calls < 3 || calls > 12 {
		t.Errorf("refused at call %d of about 400 bytes each", calls)
	}
}

// The official Go SDK reads a refusal where the gateway sends it as a result.
func TestTheOfficialSDKReadsARefusalThatIsAResult(t *testing.T) {
	g := gateway(t, server(t), "  rate_limiting: {per_tool: 1/hour}\n", "mcp: {refusals: results}\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, &sdk.StreamableClientTransport{Endpoint: g.MCP + "/mcp/echo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		_, err = s.CallTool(ctx, &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "x"}})
	}
	if err == nil || !strings.Contains(err.Error(), "quota of calls is used up") {
		t.Errorf("over the limit: %v", err)
	}
}

// The official Go SDK does not read the body of a 429; its session lives on.
func TestTheOfficialSDKSurvivesARefusal(t *testing.T) {
	g := gateway(t, server(t), "  rate_limiting: {per_tool: 1/hour}\n", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, &sdk.StreamableClientTransport{Endpoint: g.MCP + "/mcp/echo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	call := func(tool string) error {
		_, err := s.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: map[string]any{"text": "x"}})
		return err
	}
	if err := call("echo"); err != nil {
		t.Fatal(err)
	}
	if err := call("echo"); err == nil || errors.Is(err, sdk.ErrConnectionClosed) {
		t.Errorf("over the limit: %v", err)
	}
	if err := call("other"); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
}

func TestTwoGatewaysShareAQuota(t *testing.T) {
	r := testenv.StartRedis(t, "--requirepass", "secret-word")
	t.Setenv("TEST_REDIS_PASSWORD", "secret-word")
	more := "redis: {addresses: [\"" + r.Address + "\"], password: \"env:TEST_REDIS_PASSWORD\", timeout: 900ms}\n" +
		"guards: {quota: {rules: [{name: echoes, by: [tool], tools: [ec*], limit: 20/hour, exact: true}, {name: all, limit: 1000/minute, on_error: local}]}}\n"
	url := server(t)
	one, two := gateway(t, url, "", more), gateway(t, url, "", more)
	admitted := 0
	for i := range 30 {
		g := one
		if i%2 == 1 {
			g = two
		}
		if code, _, body := stateless(t, g, "echo", "x"); code == 200 {
			admitted++
		} else if code != 429 || !strings.Contains(body, "echoes") {
			t.Fatalf("%d %s", code, body)
		}
	}
	if admitted != 20 {
		t.Errorf("two gateways admitted %d of 20", admitted)
	}
	// Redis goes away: what must be counted is refused, what has a local share is not.
	r.Stop()
	testenv.Eventually(t, time.Minute, "the metrics say so", func() bool {
		stateless(t, one, "echo", "x")
		return strings.Contains(one.Get(t, "/metrics"), "\nmcp_gateway_quota_degraded 1")
	})
	var status struct{ Quota struct{ Trouble string } }
	if err := json.Unmarshal([]byte(one.Get(t, "/v1/status")), &status); err != nil || status.Quota.Trouble == "" || strings.Contains(status.Quota.Trouble, "secret-word") {
		t.Errorf("the status tells of %q: %v", status.Quota.Trouble, err)
	}
	testenv.Eventually(t, time.Minute, "what was last heard of a full window is forgotten", func() bool {
		code, _, body := stateless(t, one, "echo", "x")
		return code == 503 && strings.Contains(body, "quota_unavailable") && !strings.Contains(body, r.Address)
	})
	if code, _, body := stateless(t, one, "other", "x"); code != 200 {
		t.Errorf("local: %d %s", code, body)
	}
	r.Start(t)
	testenv.Eventually(t, time.Minute, "counting goes on", func() bool {
		code, _, _ := stateless(t, one, "echo", "x")
		return code == 200
	})
}
