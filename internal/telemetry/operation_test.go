package telemetry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/mcp"
)

const operations = "mcp_server_operation_duration_seconds_count{"

func witness(t testing.TB, m *telemetry.Metrics, limit int, labels ...telemetry.Label) guard.Witness {
	t.Helper()
	w, ok := m.Under(labels, limit, true).(guard.Witness)
	if !ok {
		t.Fatal("the observer learns of no end")
	}
	return w
}

func call(tool string) *guard.Exchange {
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}}
	x.Asked = guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: tool}
	return x
}

func TestAnOperationIsCountedByHowItEnded(t *testing.T) {
	answered := guard.Reply{Kind: mcp.Response}
	for _, tt := range []struct {
		name    string
		o       guard.Outcome
		outcome string
		kind    string
	}{
		{"an answer", guard.Outcome{Status: 200, Reply: answered}, "ok", ""},
		{"a notification taken", guard.Outcome{Status: 202}, "ok", ""},
		{"a tool that failed", guard.Outcome{Status: 200, Reply: guard.Reply{Kind: mcp.Response, Error: true}}, "tool_error", "tool_error"},
		{"an error of the server", guard.Outcome{Status: 200, Reply: guard.Reply{Kind: mcp.Failure, Code: -32602}}, "error", "-32602"},
		{"a code that a server made up", guard.Outcome{Status: 200, Reply: guard.Reply{Kind: mcp.Failure, Code: 4711}}, "error", "_OTHER"},
		{"a server that is not there", guard.Outcome{Status: 502, Reply: guard.Reply{Kind: mcp.Failure, Code: 1}}, "upstream", "502"},
		{"a reply that is none", guard.Outcome{Ending: guard.Refused, Reason: guard.UpstreamBadReply}, "upstream", "upstream_bad_reply"},
		{"a late reply", guard.Outcome{Ending: guard.TimedOut}, "upstream", "upstream_timeout"},
		{"a refusal", guard.Outcome{Ending: guard.Refused, Reason: "tool_not_allowed", Status: 200}, "refused", "tool_not_allowed"},
		{"a broken guard", guard.Outcome{Ending: guard.Refused, Reason: guard.GuardError}, "gateway", "guard_error"},
		{"a client that left", guard.Outcome{Ending: guard.Reset}, "reset", "reset"},
		{"a broken transport", guard.Outcome{Ending: guard.Broken}, "gateway", "broken"},
	} {
		m := metrics(t)
		tt.o.Elapsed = 3 * time.Millisecond
		witness(t, m, 10).Ended(t.Context(), call("read"), &tt.o)
		want := fmt.Sprintf(`outcome=%q,server="crm"} 1`, tt.outcome)
		if tt.kind != "" {
			want = fmt.Sprintf(`error_type=%q,mcp_method_name="tools/call",`, tt.kind) + want
		}
		if text := scrape(t, m); !strings.Contains(text, want) {
			t.Errorf("%s: nothing has %s:\n%s", tt.name, want, text)
		}
	}
}

// Who may call with any name as often as they like must not fill the memory of
// the gateway, nor of whoever collects its metrics.
func TestNamesThatOnlyTheClientKnowsAreOther(t *testing.T) {
	m := metrics(t)
	w := witness(t, m, 100, telemetry.Tool)
	unknown := &guard.Outcome{Reply: guard.Reply{Kind: mcp.Failure, Code: -32602}}
	for i := range 500 {
		w.Ended(t.Context(), call(fmt.Sprintf("evil%d", i)), unknown)
	}
	declared := call("declared")
	declared.Server.Tools = map[string]guard.Tool{"declared": {}, "*": {}}
	w.Ended(t.Context(), declared, unknown)
	w.Ended(t.Context(), call("answered"), &guard.Outcome{Reply: guard.Reply{Kind: mcp.Response}})
	w.Ended(t.Context(), call("answered"), unknown)
	text := scrape(t, m)
	if strings.Contains(text, "evil") || strings.Count(text, "\n"+operations) != 4 {
		t.Errorf("got\n%.4000s", text)
	}
	for _, want := range []string{`tool="other"} 500`, `tool="declared"} 1`, `error_type="-32602",mcp_method_name="tools/call",outcome="error",server="crm",tool="answered"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing has %s:\n%.4000s", want, text)
		}
	}
}

func TestBeyondTheCapEveryLabelIsOther(t *testing.T) {
	m := metrics(t)
	w := witness(t, m, 3, telemetry.Tenant, telemetry.Subject, telemetry.AgentRole, telemetry.Classification, telemetry.Server)
	for i := range 50 {
		x := call("read")
		x.Principal = guard.Principal{Tenant: fmt.Sprintf("t%d", i), Subject: strings.Repeat("s", 1000), Roles: []string{"planner", "writer"}}
		x.Server.Classification = "internal"
		w.Ended(t.Context(), x, &guard.Outcome{})
	}
	text := scrape(t, m)
	if n := strings.Count(text, "\n"+operations); n != 4 {
		t.Errorf("%d series for a cap of 3, and what is beyond it:\n%.4000s", n, text)
	}
	if !strings.Contains(text, `agent_role="other",data_classification="other",mcp_method_name="tools/call",mcp_server="other",outcome="ok",server="crm",subject="other",tenant_id="other"} 47`) ||
		!strings.Contains(text, `agent_role="planner,writer",data_classification="internal",mcp_method_name="tools/call",mcp_server="crm",outcome="ok",server="crm",subject="other",tenant_id="t0"} 1`) {
		t.Errorf("got\n%.4000s", text)
	}
}

func TestExemplarsLeadToTracesThatAreKept(t *testing.T) {
	m := metrics(t)
	w := witness(t, m, 10)
	for i, kept := range []bool{true, false} {
		x := call("read")
		x.Trace = guard.Trace{ID: [16]byte{0xab, byte(i)}, Span: [8]byte{0xcd}, Kept: kept}
		w.Ended(t.Context(), x, &guard.Outcome{Elapsed: 7 * time.Millisecond})
	}
	ask := func(accept string) string {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("accept", accept)
		a := httptest.NewRecorder()
		m.Handler().ServeHTTP(a, r)
		return a.Body.String()
	}
	text := ask("application/openmetrics-text;version=1.0.0")
	if !strings.Contains(text, `le="0.01"} 2 # {`) || !strings.Contains(text, `trace_id="ab000000000000000000000000000000"`) || !strings.Contains(text, `span_id="cd00000000000000"`) || strings.Contains(text, "ab01") {
		t.Errorf("got\n%.3000s", text)
	}
	if strings.Contains(ask("text/plain"), "trace_id") {
		t.Error("exemplars in a format that has none")
	}
}

func TestGuardsThatFailAndThatShadowAreCounted(t *testing.T) {
	m := metrics(t)
	d := &guard.Decision{Action: guard.Allow, Journal: []guard.Entry{
		{Guard: "quota", Action: guard.Allow, Err: fmt.Errorf("redis is away"), Reason: guard.GuardError},
		{Guard: "policy", Mode: guard.Shadow, Action: guard.Deny, Reason: "tool_not_allowed"},
		{Guard: "dlp", Mode: guard.Shadow, Action: guard.Allow},
	}}
	if err := m.Observe(t.Context(), call("read"), nil, d); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, m)
	for _, want := range []string{"\n" + `mcp_gateway_guard_failures_total{action="allow",guard="quota"} 1`, "\n" + `mcp_gateway_guard_shadowed_total{guard="policy",reason="tool_not_allowed"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "dlp") {
		t.Error("a shadowed guard that agrees is counted")
	}
}

func BenchmarkEnded(b *testing.B) {
	for name, labels := range map[string][]telemetry.Label{"plain": nil, "labels": {telemetry.Tenant, telemetry.AgentRole, telemetry.Server, telemetry.Classification}} {
		b.Run(name, func(b *testing.B) {
			m, err := telemetry.New(nil, nil)
			if err != nil {
				b.Fatal(err)
			}
			w := witness(b, m, 100, labels...)
			x := call("read")
			x.Principal = guard.Principal{Tenant: "acme", Roles: []string{"planner"}}
			o := &guard.Outcome{Reply: guard.Reply{Kind: mcp.Response}, Elapsed: time.Millisecond}
			b.ReportAllocs()
			for b.Loop() {
				w.Ended(b.Context(), x, o)
			}
		})
	}
}
