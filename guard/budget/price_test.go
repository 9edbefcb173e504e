package budget_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/mcp"
)

func TestWhatACallCosts(t *testing.T) {
	prices := []budget.Price{
		{Tools: []string{"byte_*"}, In: 1 << 20, Out: 2 << 20}, // a millionth per byte, and two
		{Tools: []string{"llm"}, Call: 10, Tokens: []budget.Tokens{{Path: "_meta.usage.inputTokens", PerMillion: 3_000_000}, {Path: "/_meta/usage/outputTokens", PerMillion: 500_000}}, Estimate: 100},
		{Call: 25},
	}
	for _, c := range []struct {
		name, tool, reply string
		want              int64
	}{
		{"a call has a price", "other", fine, 25},
		{"a failed call is free", "other", `"error":{"code":-32603,"message":"no"}`, 0},
		{"a tool's own error is paid", "other", `"result":{"content":[],"isError":true}`, 25},
		{"a client that goes away pays what was reserved", "llm", "", 110},
		{"tokens are paid as reported, rounded up", "llm", `"result":{"content":[],"_meta":{"usage":{"inputTokens":20,"outputTokens":3}}}`, 10 + 60 + 2},
		{"parts of tokens are tokens", "llm", `"result":{"content":[],"_meta":{"usage":{"inputTokens":1.5e1,"outputTokens":0.1}}}`, 10 + 45 + 1},
		{"a server that reports nothing does not work for nothing", "llm", fine, 110},
		{"a server cannot pay its callers", "llm", `"result":{"content":[],"_meta":{"usage":{"inputTokens":-1000000000,"outputTokens":2}}}`, 10 + 1},
		{"what is no number is no report", "llm", `"result":{"content":[],"_meta":{"usage":{"inputTokens":"9","outputTokens":null}}}`, 110},
		{"too many tokens are very many", "llm", `"result":{"content":[],"_meta":{"usage":{"inputTokens":99999999999999999999}}}`, budget.Most},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &slow{answer: budget.Answer{Outcome: budget.Reserved}}
			r := judge(t, keep(l), func(o *budget.Config) {
				o.Prices = prices
				o.Budgets = []budget.Budget{{Name: "b", Per: "month", Limit: budget.Bounds{Cost: 1_000_000}, OnError: "deny"}}
			})
			x, d := r.begin(caller{}, c.tool)
			if d.Action != guard.Allow {
				t.Fatalf("%+v", d)
			}
			e := r.finish(x, c.reply).Journal
			if c.reply != "" && !strings.Contains(c.reply, "error") && e[0].Measures[0] != (guard.Measure{Name: "cost_microusd", Value: c.want}) {
				t.Errorf("the receipt says %v, want %d", e[0].Measures, c.want)
			}
			if m := d.Journal[0].Measures; len(m) != 2 || m[0].Name != "reserved_microusd" || m[1].Name != "claims.b" || m[0].Value != m[1].Value || m[0].Value < 10 {
				t.Errorf("reserved: %v", m)
			}
			if len(l.settled) != 1 || l.settled[0][budget.Cost] != c.want || l.settled[0][budget.Calls] != 1 {
				t.Errorf("settled with %v, want a cost of %d", l.settled, c.want)
			}
		})
	}
	l := &slow{answer: budget.Answer{Outcome: budget.Reserved}}
	r := judge(t, keep(l), func(o *budget.Config) {
		o.Prices = prices
		o.Budgets = []budget.Budget{{Name: "b", Per: "month", Limit: budget.Bounds{Cost: 1_000_000}, OnError: "deny"}}
	})
	x, _ := r.begin(caller{}, "byte_x")
	in := int64(len(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"byte_x","arguments":{}}}`))
	r.finish(x, fine)
	if out := int64(len(`{"jsonrpc":"2.0","id":1,` + fine + `}`)); l.settled[0][budget.Cost] != in+2*out {
		t.Errorf("bytes cost %d, want %d", l.settled[0][budget.Cost], in+2*out)
	}
}

func TestOneCallMayCostSoMuch(t *testing.T) {
	r := judge(t, keep(here()), func(o *budget.Config) {
		o.PerCall = 100
		o.Prices = []budget.Price{{Tools: []string{"dear"}, Call: 101}, {Tools: []string{"llm"}, Tokens: []budget.Tokens{{Path: "n", PerMillion: 1_000_000}}}}
	})
	if d := r.call(caller{}, "dear"); d.Reason != budget.CallTooExpensive || d.Hint != "This call may cost $0.000101; one call may cost $0.0001." {
		t.Errorf("%s %q", d.Reason, d.Hint)
	}
	x, d := r.begin(caller{}, "llm")
	if d.Action != guard.Allow {
		t.Fatalf("%+v", d)
	}
	if d := r.finish(x, `"result":{"content":[],"n":500}`); len(d.Events) != 1 || d.Events[0].Kind != "call_over_budget" {
		t.Errorf("%+v", d.Events)
	}
	// What such calls cost of late is what the next may cost.
	if d := r.call(caller{}, "llm"); d.Reason != budget.CallTooExpensive {
		t.Errorf("%+v", d)
	}
}

func TestACallThatDoesNotReachItsServerCostsNothing(t *testing.T) {
	l := &slow{answer: budget.Answer{Outcome: budget.Reserved}}
	r := judge(t, keep(l), sandbox)
	x, _ := r.begin(caller{}, "x")
	if err := r.Settle(t.Context(), x, guard.Outcome{Ending: guard.Reset}); err != nil {
		t.Fatal(err)
	}
	if len(l.settled) != 1 || l.settled[0] != (budget.Amounts{}) {
		t.Errorf("settled with %v", l.settled)
	}
}

func TestWithoutPricesByReplyNoRepliesAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*budget.Config)
		want bool
	}{
		"calls and time": {sandbox, false},
		"bytes": {func(o *budget.Config) {
			o.Budgets = []budget.Budget{{Name: "b", Per: "day", Limit: budget.Bounds{Bytes: 1 << 20}, OnError: "deny"}}
		}, true},
		"tokens": {func(o *budget.Config) {
			o.Prices = []budget.Price{{Tokens: []budget.Tokens{{Path: "n", PerMillion: 1}}}}
		}, true},
		"a price, failures free":    {func(o *budget.Config) { o.Prices = []budget.Price{{Call: 1}} }, true},
		"a price, failures charged": {func(o *budget.Config) { o.Prices = []budget.Price{{Call: 1}}; o.Failures = "charge" }, false},
	} {
		spec := budget.Spec(keep(here()))
		members, err := guard.Assemble([]guard.Spec{spec}, func(string) guard.Setting {
			return guard.Setting{Decode: func(o any) error { c.set(o.(*budget.Config)); return nil }}
		})
		if err != nil || len(members) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		replies := false
		for _, w := range members[0].Spec.Wants {
			replies = replies || w.Direction == mcp.ToClient
		}
		if replies != c.want {
			t.Errorf("%s: replies are read: %v", name, replies)
		}
	}
}
