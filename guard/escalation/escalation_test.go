package escalation_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/escalation"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// guide is the guide's block.
var guide = escalation.Boundary{
	HumanInLoop: "external_writes", ApprovalRequired: "financial_transactions",
	Threshold: notation.Comparison{Subject: "confidence", Op: "<", Value: "0.8"},
}

var tools = map[string]guard.Tool{
	"read":    {ReadOnly: true},
	"browse":  {ReadOnly: true, External: true},
	"balance": {ReadOnly: true, Financial: true},
	"note":    {},
	"post":    {External: true},
	"pay":     {Financial: true},
	"wire":    {Financial: true, External: true},
	"purge":   {ReadOnly: true, Destructive: true, External: true}, // which contradicts itself
}

func build(t testing.TB, b escalation.Boundary, set func(*escalation.Config)) guard.Guard {
	t.Helper()
	g, err := escalation.Spec(escalation.Ports{Boundary: b, Tickets: guard.NewTickets()}).Build(func(c any) error {
		if set != nil {
			set(c.(*escalation.Config))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// labelling is a policy that labels every call.
type labelling []string

func (l labelling) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	for _, name := range l {
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: name})
	}
	return v, nil
}

func now(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
	return wait(ctx)
}

var decoder = mcp.NewDecoder(mcp.Config{})

// judge asks about a call, with labels of guards before.
func judge(t testing.TB, g guard.Guard, tool, params string, labels ...string) guard.Decision {
	t.Helper()
	m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`"`+params+`}}`))
	if f != nil {
		t.Fatal(f)
	}
	want := []guard.Want{{Method: "*", Direction: mcp.ToServer}}
	first := guard.Member{Spec: guard.Spec{Name: "labels", Wants: want}, Guard: labelling(labels), Timeout: time.Second}
	c, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: now}, first, guard.Member{Spec: guard.Spec{Name: "escalation", Wants: want}, Guard: g, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	x := &guard.Exchange{ID: "x", Server: guard.Server{Name: "bank", Tools: tools}, Principal: guard.Principal{Subject: "ana"}}
	d := c.Run(t.Context(), x, &m)
	for _, l := range x.Labels() {
		if !slices.Contains(labels, l) {
			d.Obligations = append(d.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: l})
		}
	}
	return d
}

func TestTheGuidesBoundaries(t *testing.T) {
	const sure, unsure = `,"_meta":{"confidence":0.93}`, `,"_meta":{"confidence":0.79}`
	g := build(t, guide, nil)
	for _, c := range []struct {
		tool, params string
		labels       []string
		want         string // held for, or watched, or nothing
	}{
		{"read", unsure, nil, ""}, // reading needs nobody
		{"browse", "", nil, ""},
		{"balance", "", nil, ""},
		{"note", "", nil, ""},
		{"note", sure, nil, ""},
		{"note", unsure, nil, "held: the confidence that it declares is 0.79, and confidence < 0.8 needs a person"},
		{"note", `,"arguments":{"confidence":0.5}`, nil, "held: the confidence that it declares is 0.5"},
		{"note", `,"arguments":{"confidence":0.99},"_meta":{"confidence":0.1}`, nil, "held: "}, // the worse counts
		{"note", `,"arguments":{"confidence":0.1},"_meta":{"confidence":0.99}`, nil, "held: "},
		{"note", `,"_meta":{"confidence":0.8}`, nil, ""},
		{"note", `,"_meta":{"confidence":8e-1}`, nil, ""},
		{"note", `,"_meta":{"confidence":"0.99"}`, nil, "held: the confidence that it declares is no number"},
		{"note", `,"_meta":{"confidence":null}`, nil, "held: "},
		{"note", `,"_meta":{"confidence":true}`, nil, "held: "},
		{"note", `,"_meta":{"confidence":[0.99]}`, nil, "held: "},
		{"note", `,"_meta":{"confidence":1e999999999}`, nil, "held: the confidence that it declares is no number"},
		{"note", `,"_meta":{"confidence":1e-999999999}`, nil, "held: the confidence that it declares is 0,"},
		{"note", `,"_meta":{"confidence":-1}`, nil, "held: "},
		{"post", "", nil, "watched"},
		{"post", unsure, nil, "held: the confidence"},
		{"pay", sure, nil, "held: it moves money"},
		{"wire", sure, nil, "held: it moves money and reaches outside"},
		{"purge", "", nil, "watched"},
		{"nobody-knows", sure, nil, "held: the registry does not say what this tool does"},
		// Policies know more of a call than the registry does of its tool, and can only make it worse.
		{"note", "", []string{"financial"}, "held: it moves money"},
		{"note", "", []string{"external"}, "watched"},
		{"balance", "", []string{"write"}, "held: it moves money"},
		{"read", "", []string{"escalate"}, "held: the gateway labelled it escalate"},
		{"pay", "", []string{"read_only", "approved"}, "held: it moves money"},
	} {
		d := judge(t, g, c.tool, c.params, c.labels...)
		got := ""
		switch {
		case d.Action == guard.Hold && d.Reason == guard.ApprovalRequired && d.Ticket != nil && len(d.Ticket.ID) == 32:
			got = "held: " + strings.TrimPrefix(d.Hint, "A person has to approve this call, because ")
			if len(d.Events) != 1 || d.Events[0].Kind != "approval_required" {
				t.Errorf("%s %s: events %v", c.tool, c.params, d.Events)
			}
		case d.Action == guard.Allow && len(d.Events) == 1 && d.Events[0].Kind == "human_in_loop" && slices.ContainsFunc(d.Obligations, func(o guard.Obligation) bool { return o.Name == "human_in_loop" }):
			got = "watched"
		case d.Action != guard.Allow:
			got = d.Action.String() + " " + d.Detail
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s%s %v: %q, want %q", c.tool, c.params, c.labels, got, c.want)
		}
	}
}

func TestWhatASectionChanges(t *testing.T) {
	for _, c := range []struct {
		name         string
		set          func(*escalation.Config)
		tool, params string
		labels       []string
		want         guard.Action
	}{
		{"human in the loop is held", func(c *escalation.Config) { c.HumanInLoop = "hold" }, "post", "", nil, guard.Hold},
		{"no measure is doubt", func(c *escalation.Config) { c.Undeclared = "escalate" }, "note", "", nil, guard.Hold},
		{"reading needs no measure", func(c *escalation.Config) { c.Undeclared = "escalate" }, "read", "", nil, guard.Allow},
		{"unless all do", func(c *escalation.Config) { c.Undeclared, c.Threshold = "escalate", "all" }, "read", "", nil, guard.Hold},
		{"another place", func(c *escalation.Config) { c.Measure = []string{"/_meta/com.example~1sure"} }, "note", `,"_meta":{"com.example/sure":0.2}`, nil, guard.Hold},
		{"and not the usual one", func(c *escalation.Config) { c.Measure = []string{"/_meta/com.example~1sure"} }, "note", `,"_meta":{"confidence":0.2}`, nil, guard.Allow},
		{"an anomaly", func(c *escalation.Config) { c.Labels.Approve = []string{"anomaly:*"} }, "read", "", []string{"anomaly:rate"}, guard.Hold},
	} {
		if d := judge(t, build(t, guide, c.set), c.tool, c.params, c.labels...); d.Action != c.want {
			t.Errorf("%s: %s %s", c.name, d.Action, d.Detail)
		}
	}
	for want, set := range map[string]func(*escalation.Config){
		"measure[0]":        func(c *escalation.Config) { c.Measure = []string{"/name"} },
		"labels.approve[0]": func(c *escalation.Config) { c.Labels.Approve = []string{"a*b"} },
	} {
		_, err := escalation.Spec(escalation.Ports{}).Build(func(c any) error { set(c.(*escalation.Config)); return nil })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNothingToEscalateIsNoGuard(t *testing.T) {
	if g := build(t, escalation.Boundary{HumanInLoop: "none", ApprovalRequired: "none"}, nil); g != nil {
		t.Errorf("%v", g)
	}
}

func TestConformance(t *testing.T) {
	guardtest.Run(t, escalation.Spec(escalation.Ports{Boundary: guide, Tickets: guard.NewTickets()}),
		guardtest.Config{Name: "hold", Set: func(c any) { c.(*escalation.Config).HumanInLoop = "hold" }},
		guardtest.Config{Name: "all", Set: func(c any) { c.(*escalation.Config).Undeclared, c.(*escalation.Config).Threshold = "escalate", "all" }})
}

func BenchmarkGuard(b *testing.B) {
	guardtest.Benchmark(b, escalation.Spec(escalation.Ports{Boundary: escalation.Boundary{Threshold: guide.Threshold}, Tickets: guard.NewTickets()}), guardtest.Config{})
}

func BenchmarkHold(b *testing.B) {
	guardtest.Benchmark(b, escalation.Spec(escalation.Ports{Boundary: guide, Tickets: guard.NewTickets()}), guardtest.Config{})
}
