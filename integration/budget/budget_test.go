// Package budget tests budgets through real gateways, with real Envoys, a real
// Redis and real clients of both eras.
package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// block returns the guide's own text of a block, without the parts in which
// nothing of budgets stands.
func block(t testing.TB, name string, without ...string) string {
	t.Helper()
	b, err := os.ReadFile(testenv.Root() + "/internal/config/testdata/guide/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	skip := false
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			skip = false
			for _, w := range without {
				skip = skip || strings.TrimSpace(line) == w+":"
			}
		}
		if !skip {
			out.WriteString(line)
		}
	}
	return out.String()
}

// server has tools that say what they cost.
func server(t testing.TB) string {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "priced", Version: "1"}, nil)
	type in struct {
		Tokens int `json:"tokens"`
	}
	for _, name := range []string{"cheap", "llm", "dear"} {
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: "Costs something."}, func(_ context.Context, _ *sdk.CallToolRequest, a in) (*sdk.CallToolResult, any, error) {
			r := &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}
			r.Meta = sdk.Meta{"usage": map[string]any{"totalTokens": a.Tokens}}
			return r, nil, nil
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

// prices are what the tools of server cost: calls of llm a dollar for a million
// tokens.
const prices = "prices: [{tools: [cheap], call: $0.001}, {tools: [dear], call: $0.02}, {tools: [llm], tokens: [{path: _meta.usage.totalTokens, per_million: $1}]}]"

func gateway(t testing.TB, url, more string) *testenv.Gateway {
	t.Helper()
	path := t.TempDir() + "/sallyport.yaml"
	testenv.Write(t, path, testenv.Config(t, "  - {name: priced, url: "+url+"}\n", more))
	return testenv.StartFile(t, path)
}

// caller calls as a client of one revision. task, if any, is told in a header.
func caller(t testing.TB, g *testenv.Gateway, revision, task string) func(tool string, tokens int) error {
	t.Helper()
	call := testenv.Caller(t, g.MCP+"/mcp/priced", revision, map[string]string{"X-Task-Id": task})
	return func(tool string, tokens int) error { return call(tool, map[string]any{"tokens": tokens}) }
}

func command(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Binary(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

const eras = "2025-11-25 2026-07-28"

func TestTheGuidesBlocksTakeEffect(t *testing.T) {
	r := testenv.StartRedis(t)
	g := gateway(t, server(t), block(t, "autonomy_controls", "boundary_controls", "monitoring")+block(t, "cost_controls", "optimization")+
		"redis: {addresses: [\""+r.Address+"\"], timeout: 900ms}\nguards: {budget: {task: {header: x-task-id}, "+prices+"}}\n")

	// per_tool_call: "$0.01"
	call := caller(t, g, "2025-11-25", "")
	if err := call("dear", 0); err == nil || !strings.Contains(err.Error(), "cost more than one call may") {
		t.Errorf("a call of $0.02: %v", err)
	}
	// max_tool_calls: 100, whatever the session, the task's name and the era.
	made := 0
	for i := range 104 {
		era := strings.Fields(eras)[i%2]
		c := call
		if i%20 < 2 {
			call = caller(t, g, era, fmt.Sprint("task ", i))
			c = call
		}
		if err := c("cheap", 0); err == nil {
			made++
		} else if !strings.Contains(err.Error(), "A budget is used up") {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if made != 100 {
		t.Errorf("%d calls of 100", made)
	}
	for _, era := range strings.Fields(eras) {
		if err := caller(t, g, era, "another")("cheap", 0); err == nil || !strings.Contains(err.Error(), "A budget is used up") {
			t.Errorf("%s, under another name: %v", era, err)
		}
	}
	// budget_alerts: "80%_threshold"
	testenv.Eventually(t, time.Minute, "the alert is an event", func() bool {
		return strings.Contains(g.Receipts(t), "budget_low") && strings.Contains(g.Receipts(t), "budget.sandbox.low")
	})
	if n := strings.Count(g.Receipts(t), `"budget sandbox is used to 80 % or more"`); n > 2 { // of the caller's own and of the sum, once each
		t.Errorf("told %d times", n)
	}
	if !strings.Contains(g.Get(t, "/metrics"), `event="budget_low"`) {
		t.Error("no metric counts the event")
	}
	// real_time_tracking: true, cost_attribution: "tenant_level"
	var report struct {
		GroupBy []string `json:"group_by"`
		Usage   []struct {
			Calls, Cost int64
			Micro       int64 `json:"cost_micro_usd"`
		}
	}
	if err := json.Unmarshal([]byte(g.Get(t, "/v1/usage")), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.GroupBy) != 1 || report.GroupBy[0] != "tenant" || len(report.Usage) != 1 || report.Usage[0].Calls != 100 || report.Usage[0].Micro != 100_000 {
		t.Errorf("%+v", report)
	}
	if out := command(t, "usage", "-c", g.Config, "--admin", g.Admin, "--by", "tool", "--forecast"); !strings.Contains(out, "cheap") || !strings.Contains(out, "$0.1 ") || !strings.Contains(out, "the month ends at") {
		t.Error(out)
	}
	if out := command(t, "usage", "-c", g.Config, "--admin", g.Admin, "--by", "day,tool", "--csv"); !strings.HasPrefix(out, "day,tool,calls,") || !strings.Contains(out, ",cheap,100,0,") {
		t.Error(out)
	}
	// People can let the caller go on, and that leaves a receipt.
	command(t, "usage", "grant", "--admin", g.Admin, "--budget", "sandbox", "--calls", "2", "--because", "a test")
	testenv.Eventually(t, time.Minute, "a grant takes effect", func() bool { return caller(t, g, "2026-07-28", "")("cheap", 0) == nil })
	if s := g.Receipts(t); !strings.Contains(s, "budget_grant") || !strings.Contains(s, "a test") {
		t.Error("no receipt of the grant")
	}
}

// max_cost: $50, max_duration, per_project and per_agent_session in amounts that a
// test can use up; the lines are the guide's own.
func TestEachLineOfTheGuideIsABoundOfItsOwn(t *testing.T) {
	url := server(t)
	for _, c := range []struct{ name, line, more, hint string }{
		{"max_cost", `autonomy_controls: {sandbox_budgets: {max_cost: "$0.003"}}`, "", "Budget sandbox"},
		{"max_duration", `autonomy_controls: {sandbox_budgets: {max_duration: "2 seconds"}}`, "", "its time of 2s has passed"},
		{"per_project", `cost_controls: {budgets: {per_project: "$0.003/month"}}`, "", "Budget per_project: $0 of $0.003 left, and this call may cost $0.001. It begins anew in "},
		{"per_agent_session", `cost_controls: {budgets: {per_agent_session: "$0.003"}}`, "", "Budget per_agent_session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gateway(t, url, c.line+"\nguards: {budget: {task: {header: x-task-id}, "+prices+"}}\n")
			before := 3
			if c.name == "max_duration" {
				before = 1 // its time begins with the first, and may have passed at any other
			}
			for i := range before {
				if code, body := stateless(t, g, "cheap", 0); code != 200 || strings.Contains(body, "budget_exhausted") {
					t.Fatalf("call %d: %d %s", i, code, body)
				}
			}
			if c.name == "max_duration" {
				time.Sleep(2100 * time.Millisecond)
			}
			if code, body := stateless(t, g, "cheap", 0); code != 200 || !strings.Contains(body, `"reason":"budget_exhausted"`) || !strings.Contains(body, c.hint) {
				t.Errorf("%d %s", code, body)
			}
			if err := caller(t, g, "2025-11-25", "t")("cheap", 0); c.name != "max_duration" && (err == nil || !strings.Contains(err.Error(), "A budget is used up")) {
				t.Errorf("with a session: %v", err)
			}
		})
	}
}

func TestTokensThatAToolReportsArePaidByAllReplicas(t *testing.T) {
	r := testenv.StartRedis(t)
	more := "redis: {addresses: [\"" + r.Address + "\"], timeout: 900ms}\n" +
		"guards: {budget: {budgets: [{name: all, per: month, limit: {cost: $0.05}, exact: true}], " + prices + "}}\n"
	url := server(t)
	one, two := gateway(t, url, more), gateway(t, url, more)
	if code, body := stateless(t, one, "llm", 30_000); code != 200 || strings.Contains(body, "error") {
		t.Fatalf("%d %s", code, body)
	}
	testenv.Eventually(t, time.Minute, "$0.03 are counted", func() bool {
		var show []struct{ Used map[string]int64 }
		return json.Unmarshal([]byte(command(t, "usage", "show", "--admin", two.Admin, "--budget", "all")), &show) == nil && show[0].Used["cost"] == 30_000
	})
	if _, body := stateless(t, two, "llm", 25_000); strings.Contains(body, "budget_exhausted") {
		t.Fatal(body)
	}
	testenv.Eventually(t, time.Minute, "nothing is left for anybody", func() bool {
		_, body := stateless(t, one, "llm", 1)
		return strings.Contains(body, "budget_exhausted")
	})
	var show []struct {
		Used, Left map[string]int64
	}
	if err := json.Unmarshal([]byte(command(t, "usage", "show", "--admin", one.Admin, "--budget", "all")), &show); err != nil || show[0].Left["cost"] < 0 || show[0].Used["cost"] > 50_000 {
		t.Errorf("%+v, %v", show, err)
	}
	r.Stop()
	testenv.Eventually(t, time.Minute, "nobody can keep account", func() bool {
		code, body := stateless(t, one, "cheap", 0)
		return code == 503 && strings.Contains(body, "budget_unavailable") && !strings.Contains(body, r.Address)
	})
}

// stateless calls a tool as a client of 2026-07-28 does, without a session.
func stateless(t testing.TB, g *testenv.Gateway, tool string, tokens int) (int, string) {
	t.Helper()
	r := testenv.Post(t, g.MCP+"/mcp/priced", fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{"tokens":%d},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"8"},"io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, tokens),
		"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool, "X-Task-Id", "t")
	return r.StatusCode, r.Text
}
