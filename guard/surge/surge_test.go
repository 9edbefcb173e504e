package surge_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/surge"
	valves "github.com/sallyport/sallyport/internal/surge"
	"github.com/sallyport/sallyport/mcp"
)

// valve says what a test wants, and remembers what it was told.
type valve struct {
	known  bool
	answer surge.Answer
	err    error

	calls   []surge.Call
	replied int
	left    []surge.Ending
}

func (v *valve) Enter(c *surge.Call) (surge.Answer, bool) {
	v.calls = append(v.calls, *c)
	return v.answer, v.known
}
func (v *valve) Wait(context.Context, *surge.Call) (surge.Answer, error) { return v.answer, v.err }
func (v *valve) Replied(*surge.Call)                                     { v.replied++ }
func (v *valve) Leave(_ *surge.Call, e surge.Ending)                     { v.left = append(v.left, e) }

func port(v surge.Valve) surge.Port {
	return func(surge.Config) (surge.Valve, error) { return v, nil }
}

func working() surge.Port {
	return func(c surge.Config) (surge.Valve, error) {
		began := time.Now()
		return valves.New(func() time.Duration { return time.Since(began) }, c), nil
	}
}

// The suite asks much and settles little, so it needs room, or answers at once.
func TestConformance(t *testing.T) {
	roomy := func(c surge.Config) (surge.Valve, error) {
		if c.Limit == surge.Default().Limit {
			c.Limit = surge.LimitConfig{Min: 100_000, Start: 100_000, Max: 100_000}
		}
		return working()(c)
	}
	guardtest.Run(t, surge.Spec(roomy), guardtest.Config{Name: "one at a time", Varies: true, Set: func(c any) {
		own := c.(*surge.Config)
		own.Limit = surge.LimitConfig{Min: 1, Start: 1, Max: 1}
		own.Queue = surge.QueueConfig{Length: 2, Time: time.Millisecond}
	}}, guardtest.Config{Name: "nobody waits", Varies: true, Set: func(c any) {
		own := c.(*surge.Config)
		own.Limit, own.Queue.Length = surge.LimitConfig{Min: 1, Start: 1, Max: 1}, 0
	}})
}

func build(t testing.TB, v surge.Valve, set func(c *surge.Config)) guard.Guard {
	t.Helper()
	return guardtest.Build(t, surge.Spec(port(v)), set)
}

const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"export_all","arguments":{}}}`

func exchange() *guard.Exchange {
	return &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: "ada", Issuer: "i", Tenant: "acme", Agent: "bot", Client: "cli"}}
}

func TestWhichRequestsTakeAPlaceAtTheServer(t *testing.T) {
	for text, takes := range map[string]bool{
		call: true,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`:           true,
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`:                             false,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:               false,
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                                 false,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`: false,
	} {
		v := &valve{known: true, answer: surge.Answer{Outcome: surge.Admitted}}
		g := build(t, v, nil)
		if got, err := g.Inspect(t.Context(), exchange(), guardtest.Decode(t, mcp.ToServer, text)); err != nil || got.Action != guard.Allow || (len(v.calls) == 1) != takes {
			t.Errorf("%s: %v, %v, %d places", text, got.Action, err, len(v.calls))
		}
	}
}

func TestTheClassOfACall(t *testing.T) {
	batch := func(c surge.Class) func(*surge.Config) {
		c.Name = "batch"
		return func(to *surge.Config) { to.Classes = []surge.Class{{Name: "rest"}, c} }
	}
	for name, tt := range map[string]struct {
		set  func(*surge.Config)
		want int
	}{
		"by default":              {nil, 0},
		"by its tool":             {batch(surge.Class{Tools: []string{"export_*"}}), 1},
		"by another tool":         {batch(surge.Class{Tools: []string{"import_*"}}), 0},
		"by its agent":            {batch(surge.Class{Agents: []string{"bot"}}), 1},
		"by its client":           {batch(surge.Class{Clients: []string{"cli"}}), 1},
		"by its agent, not tool":  {batch(surge.Class{Agents: []string{"bot"}, Tools: []string{"x"}}), 0},
		"by a label it has not":   {batch(surge.Class{Labels: []string{"priority:batch"}}), 0},
		"without classes, by one": {func(c *surge.Config) { c.Classes = nil }, 0},
		"an urgent one before": {func(c *surge.Config) {
			c.Classes = []surge.Class{{Name: "urgent", Tools: []string{"x"}}, {Name: "rest"}}
		}, 1},
	} {
		v := &valve{known: true, answer: surge.Answer{Outcome: surge.Admitted}}
		if _, err := build(t, v, tt.set).Inspect(t.Context(), exchange(), guardtest.Decode(t, mcp.ToServer, call)); err != nil || v.calls[0].Class != tt.want {
			t.Errorf("%s: class %d, %v", name, v.calls[0].Class, err)
		}
	}
}

type labelling struct{}

func (labelling) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	v.Obligations = []guard.Obligation{{Kind: guard.AddLabel, Name: "priority:batch"}}
	return v, nil
}

// A label that a guard in front gave, such as the policy, makes a call batch work.
func TestALabelOfThePolicyMakesACallBatchWork(t *testing.T) {
	v := &valve{known: true, answer: surge.Answer{Outcome: surge.Admitted}}
	spec := surge.Spec(port(v))
	c, err := guard.New(guard.Host{Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{}), Await: func(ctx context.Context, _ time.Duration, w func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
		return w(ctx)
	}},
		guard.Member{Guard: labelling{}, Timeout: time.Second, Spec: guard.Spec{Name: "labels", Wants: []guard.Want{{Method: "*", Direction: mcp.ToServer}}}},
		guard.Member{Guard: build(t, v, nil), Spec: spec, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Run(t.Context(), exchange(), guardtest.Decode(t, mcp.ToServer, call)); d.Action != guard.Allow || v.calls[0].Class != 1 {
		t.Errorf("%s, class %d", d.Action, v.calls[0].Class)
	}
}

func TestHowACallEnded(t *testing.T) {
	reply := `{"jsonrpc":"2.0","id":1,"result":{}}`
	failure := `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"x"}}`
	for name, tt := range map[string]struct {
		replies string
		outcome guard.Outcome
		want    surge.Ending
	}{
		"answered":                        {reply, guard.Outcome{Reached: true, Status: 200}, surge.Done},
		"answered with an error":          {failure, guard.Outcome{Reached: true, Status: 200}, surge.Done},
		"the server has too much to do":   {failure, guard.Outcome{Reached: true, Status: 429}, surge.Failed},
		"the server is down":              {"", guard.Outcome{Reached: true, Status: 502, Ending: guard.Refused}, surge.Failed},
		"the server did not end its word": {"", guard.Outcome{Reached: true, Status: 200, Ending: guard.TimedOut}, surge.Failed},
		"the client went away":            {"", guard.Outcome{Reached: true, Ending: guard.Reset}, surge.Abandoned},
		"refused by a later guard":        {"", guard.Outcome{Ending: guard.Refused, Status: 403}, surge.Unsent},
	} {
		v := &valve{known: true, answer: surge.Answer{Outcome: surge.Admitted}}
		g, x := build(t, v, nil), exchange()
		if _, err := g.Inspect(t.Context(), x, guardtest.Decode(t, mcp.ToServer, call)); err != nil {
			t.Fatal(err)
		}
		if tt.replies != "" {
			if _, err := g.Inspect(t.Context(), x, guardtest.Decode(t, mcp.ToClient, tt.replies)); err != nil || v.replied != 1 {
				t.Errorf("%s: %d replies, %v", name, v.replied, err)
			}
		}
		g.(guard.Settler).Settle(t.Context(), x, tt.outcome)
		if len(v.left) == 0 || v.left[0] != tt.want { // what comes after the first does nothing
			t.Errorf("%s: %v, want %v", name, v.left, tt.want)
		}
	}
}

func TestARefusalSaysWhoseItIsAndWhenToComeBack(t *testing.T) {
	for _, tt := range []struct {
		answer surge.Answer
		reason guard.Reason
		wait   string
	}{
		{surge.Answer{Outcome: surge.Strained, After: 1200 * time.Millisecond}, surge.ServerStrained, "2"},
		{surge.Answer{Outcome: surge.Excess}, surge.ShareUsedUp, "1"},
	} {
		for _, known := range []bool{true, false} {
			v := &valve{known: known, answer: tt.answer}
			got, err := build(t, v, nil).Inspect(t.Context(), exchange(), guardtest.Decode(t, mcp.ToServer, call))
			if err == nil && got.Pending != nil {
				got, err = got.Pending(t.Context())
			}
			if err != nil || got.Action != guard.Deny || got.Reason != tt.reason || got.Obligations[0].Value != tt.wait || !strings.Contains(got.Hint, "in "+tt.wait+" s") {
				t.Errorf("%+v, %v", got, err)
			}
		}
	}
	v := &valve{err: errors.New("given up")}
	got, err := build(t, v, nil).Inspect(t.Context(), exchange(), guardtest.Decode(t, mcp.ToServer, call))
	if err != nil || got.Pending == nil {
		t.Fatal(got, err)
	}
	if _, err := got.Pending(t.Context()); err == nil {
		t.Error("who gave up has an answer")
	}
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, set := range map[string]func(c *surge.Config){
		"limit: min, start and max must not fall": func(c *surge.Config) { c.Limit.Start = 1 },
		"classes: exactly one class":              func(c *surge.Config) { c.Classes = []surge.Class{{Name: "a"}, {Name: "b"}} },
		"classes[1]: name: ":                      func(c *surge.Config) { c.Classes = []surge.Class{{Name: "a"}, {Name: "B", Tools: []string{"x"}}} },
		"is the name of two classes":              func(c *surge.Config) { c.Classes = []surge.Class{{Name: "a"}, {Name: "a", Tools: []string{"x"}}} },
		"classes[1]: tools: ":                     func(c *surge.Config) { c.Classes = []surge.Class{{Name: "a"}, {Name: "b", Tools: []string{""}}} },
		"tenants[1]: name: ":                      func(c *surge.Config) { c.Tenants = []surge.Tenant{{"a", 1}, {"a", 2}} },
		"9 classes; there may be 8":               func(c *surge.Config) { c.Classes = make([]surge.Class, 9) },
	} {
		_, err := guardtest.Try(surge.Spec(working()), set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func BenchmarkSurge(b *testing.B) {
	g := guardtest.Build[surge.Config](b, surge.Spec(working()), nil)
	m, reply := guardtest.Decode(b, mcp.ToServer, call), guardtest.Decode(b, mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	b.ReportAllocs()
	for b.Loop() {
		x := guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: "ada", Issuer: "https://id.example", Tenant: "acme"}}
		if v, err := g.Inspect(b.Context(), &x, m); err != nil || v.Action != guard.Allow {
			b.Fatal(v, err)
		}
		if _, err := g.Inspect(b.Context(), &x, reply); err != nil {
			b.Fatal(err)
		}
		g.(guard.Settler).Settle(b.Context(), &x, guard.Outcome{Reached: true, Status: 200})
	}
}
