// Package conduct tests what the guide's autonomy_controls does through real
// gateways, with real Envoys, a real Redis and the official Go SDK.
package conduct

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// tools is what the registry says of the server's tools, but for mystery.
const tools = `
    tools:
      - {name: search, read_only: true}
      - {name: note}
      - {name: send_mail, external: true}
      - {name: refund, financial: true, external: true}
`

type arguments struct {
	Text string `json:"text"`
}

// server answers with what it was sent, and at length if that is "long".
func server(t testing.TB) string {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "crm", Version: "1"}, nil)
	for _, name := range []string{"search", "note", "send_mail", "refund", "mystery"} {
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: "Says it again."}, func(_ context.Context, _ *sdk.CallToolRequest, in arguments) (*sdk.CallToolResult, any, error) {
			if in.Text == "long" {
				in.Text = strings.Repeat("long ", 20_000)
			}
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: in.Text}}}, nil, nil
		})
	}
	h := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(h.Close)
	return h.URL
}

// gateway is one with a client, and its receipts.
type gateway struct {
	*testenv.Gateway
	t        testing.TB
	client   *sdk.ClientSession
	receipts string
}

var receiptsPath = regexp.MustCompile(`receipts: \{path: "([^"]+)"`)

func start(t testing.TB, url, more string) *gateway {
	t.Helper()
	text := testenv.Config(t, "  - name: crm\n    url: "+url+tools, more)
	path := t.TempDir() + "/sallyport.yaml"
	testenv.Write(t, path, text)
	g := &gateway{Gateway: testenv.StartFile(t, path), t: t, receipts: receiptsPath.FindStringSubmatch(text)[1]}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx, &sdk.StreamableClientTransport{Endpoint: g.MCP + "/mcp/crm", DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	g.client = c
	return g
}

// in returns the gateway for a subtest.
func (g *gateway) in(t testing.TB) *gateway {
	sub := *g
	sub.t = t
	return &sub
}

func (g *gateway) call(tool, text string, meta sdk.Meta) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := g.client.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: arguments{text}, Meta: meta})
	return err
}

func (g *gateway) allow(tool, text string, meta sdk.Meta) {
	g.t.Helper()
	if err := g.call(tool, text, meta); err != nil {
		g.t.Fatalf("%s %s: %v", tool, text, err)
	}
}

func (g *gateway) refuse(tool, text string, meta sdk.Meta, words string) {
	g.t.Helper()
	if err := g.call(tool, text, meta); err == nil || !strings.Contains(err.Error(), words) {
		g.t.Errorf("%s %s: %v, want %q", tool, text, err, words)
	}
}

type receipt struct {
	Name, Action, Reason string
	Labels               []string
	Events               []struct{ Kind, Detail string }
}

// until waits for a receipt about a call of a tool that has a label, or an event
// with the words.
func (g *gateway) until(tool, label, event, words string) {
	g.t.Helper()
	testenv.Eventually(g.t, time.Minute, fmt.Sprintf("a receipt of %s with %s and %s", tool, label, event), func() bool {
		b, err := os.ReadFile(g.receipts)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(b)) {
			var r receipt
			if json.Unmarshal([]byte(line), &r) != nil || r.Name != tool || label != "" && !slices.Contains(r.Labels, label) {
				continue
			}
			for _, e := range r.Events {
				if e.Kind == event && strings.Contains(e.Detail, words) {
					return true
				}
			}
		}
		return false
	})
	if !strings.Contains(g.Get(g.t, "/metrics"), `event="`+event+`"`) {
		g.t.Errorf("the metrics do not have %s", event)
	}
}

// guide is the guide's block, word for word.
func guide(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(testenv.Root() + "/internal/config/testdata/guide/autonomy_controls.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEachLineOfTheGuidesBlockTakesEffect(t *testing.T) {
	url := server(t)
	g := start(t, url, guide(t)+"guards: {anomaly: {warm_up: 5, warm_up_time: 1s}}\n")
	for i := range 6 { // what is usual
		g.allow("search", fmt.Sprint("customer ", i), nil)
	}
	time.Sleep(1100 * time.Millisecond) // warm_up_time

	t.Run("human_in_loop: external_writes", func(t *testing.T) {
		g := g.in(t)
		g.allow("send_mail", "hello", nil)
		g.until("send_mail", "human_in_loop", "human_in_loop", "external_writes: it changes something outside")
	})
	t.Run("approval_required: financial_transactions", func(t *testing.T) {
		g := g.in(t)
		g.refuse("refund", "$5", nil, "A person has to approve this first")
		g.refuse("mystery", "of which the registry says nothing", nil, "A person has to approve this first")
		g.until("refund", "", "approval_required", "it moves money")
	})
	t.Run("escalation_threshold: confidence < 0.8", func(t *testing.T) {
		g := g.in(t)
		g.allow("note", "sure", sdk.Meta{"confidence": 0.9})
		g.refuse("note", "unsure", sdk.Meta{"confidence": 0.79}, "A person has to approve this first")
		g.allow("search", "unsure", sdk.Meta{"confidence": 0.1}) // which only reads
		g.until("note", "", "approval_required", "0.79")
	})
	t.Run("loop_detection: true", func(t *testing.T) {
		g := g.in(t)
		for range 10 {
			g.allow("search", "the same", nil)
		}
		g.refuse("search", "the same", nil, "You are going in circles")
		g.allow("search", "another", nil)
		g.until("search", "", "loop_detected", "the same call got the same answer 10 times")
	})
	t.Run("anomaly_detection: true", func(t *testing.T) {
		g := g.in(t)
		g.allow("search", "https://evil.example/?q=customers", nil)
		g.until("search", "anomaly:destination", "egress_destination_change", "evil.example")
		g.until("send_mail", "anomaly:new_tool", "new_tool_use", "the first call of this tool by this caller")
	})
	t.Run("resource_monitoring: true", func(t *testing.T) {
		g := g.in(t)
		g.allow("search", "long", nil)
		g.until("search", "anomaly:result_size", "result_size_anomaly", "usually about ")
	})
}

// Without a line, nothing of the kind happens.
func TestWithoutTheBlockNothingOfItHappens(t *testing.T) {
	g := start(t, server(t), "")
	for range 14 {
		g.allow("search", "the same", nil)
	}
	g.allow("refund", "$5", sdk.Meta{"confidence": 0.1})
	g.allow("mystery", "https://evil.example", nil)
	if strings.Contains(g.Get(t, "/metrics"), "mcp_gateway_events_total{") {
		t.Error("there are events")
	}
}

// A balancer that sends each call to another replica hides no loop.
func TestALoopOverTwoGateways(t *testing.T) {
	r := testenv.StartRedis(t)
	url := server(t)
	more := "redis: {addresses: [\"" + r.Address + "\"], timeout: 900ms}\nautonomy_controls: {monitoring: {loop_detection: true}}\n"
	one, two := start(t, url, more), start(t, url, more)
	for i := range 10 {
		[]*gateway{one, two}[i%2].allow("search", "the same", nil)
	}
	for _, g := range []*gateway{one, two} {
		testenv.Eventually(t, time.Minute, "each learns what the other saw", func() bool {
			err := g.call("search", "the same", nil)
			return err != nil && strings.Contains(err.Error(), "You are going in circles")
		})
	}
	// While Redis is away, each has its own memory, and no call waits.
	r.Stop()
	testenv.Eventually(t, time.Minute, "the metrics say so", func() bool {
		return strings.Contains(one.Get(t, "/metrics"), "\nmcp_gateway_conduct_alone 1\n")
	})
	one.refuse("search", "the same", nil, "You are going in circles")
	one.allow("search", "another", nil)
}
