package quota_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/mcp"
)

func TestConformance(t *testing.T) {
	everything := quota.Rule{Name: "x", By: []string{"principal", "agent", "client", "tenant", "server", "method"}, Limit: rates("3/second, 1000/hour"), Methods: []string{"*"}}
	tools := quota.Rule{Name: "y", By: []string{"tool"}, Limit: rates("2/day"), Tools: []string{"read_*"}}
	for name, l := range map[string]quota.Limiter{
		"counted here": here(),
		"admitted":     &slow{answer: quota.Answer{Outcome: quota.Admitted, Unshared: true}},
		"exceeded":     &slow{answer: quota.Answer{Outcome: quota.Exceeded, After: time.Minute}},
		"unavailable":  &slow{answer: quota.Answer{Cause: errors.New("no Redis")}},
		"failing":      &slow{err: errors.New("given up")},
	} {
		t.Run(name, func(t *testing.T) {
			guardtest.Run(t, quota.Spec(counting(l)), guardtest.Config{Name: "rules", Varies: true, Set: func(c any) {
				c.(*quota.Config).Rules = []quota.Rule{everything, tools}
			}})
		})
	}
}

func TestWhoAndWhatHasACounterOfItsOwn(t *testing.T) {
	ada := func() *guard.Exchange { return exchange("ada", "crm") }
	with := func(change func(x *guard.Exchange)) *guard.Exchange {
		x := ada()
		change(x)
		return x
	}
	nobody := func(change func(x *guard.Exchange)) *guard.Exchange {
		x := &guard.Exchange{Server: guard.Server{Name: "crm"}}
		change(x)
		return x
	}
	for _, tt := range []struct {
		name   string
		by     string
		a, b   *guard.Exchange
		ma, mb string // tools
		shared bool
	}{
		{"two people", "principal", ada(), exchange("bob", "crm"), "t", "t", false},
		{"one person with two tools", "principal", ada(), ada(), "t", "u", true},
		{"one person on two servers", "principal", ada(), exchange("ada", "data"), "t", "t", true},
		{"one name of two issuers", "principal", ada(), with(func(x *guard.Exchange) { x.Principal.Issuer = "https://other.example" }), "t", "t", false},
		{"a new session is no new caller", "principal", ada(), with(func(x *guard.Exchange) { x.Session = "s2" }), "t", "t", true},
		{"a new connection is no new caller", "principal", ada(), with(func(x *guard.Exchange) { x.Source = exchangeSource(7) }), "t", "t", true},
		{"a new task is no new caller", "principal", ada(), with(func(x *guard.Exchange) { x.Principal.Task = "t2" }), "t", "t", true},
		{"the newest revision is no new caller", "principal", ada(), with(func(x *guard.Exchange) { x.Revision = mcp.R20260728 }), "t", "t", true},
		{"anonymous callers are one", "principal", nobody(func(x *guard.Exchange) { x.Source = exchangeSource(1) }), nobody(func(x *guard.Exchange) { x.Session = "s"; x.Source = exchangeSource(2) }), "t", "t", true},
		{"verified peers are told apart", "principal", nobody(func(x *guard.Exchange) { x.Peer = guard.Peer{Verified: true, Name: "spiffe://a"} }), nobody(func(x *guard.Exchange) { x.Peer = guard.Peer{Verified: true, Name: "spiffe://b"} }), "t", "t", false},
		{"an unverified peer is nobody", "principal", nobody(func(x *guard.Exchange) { x.Peer.Name = "spiffe://a" }), nobody(func(x *guard.Exchange) { x.Peer.Name = "spiffe://b" }), "t", "t", true},
		{"a person and a client of one name", "principal", nobody(func(x *guard.Exchange) { x.Principal.Subject = "x" }), nobody(func(x *guard.Exchange) { x.Principal.Client = "x" }), "t", "t", false},
		{"two tools", "tool", ada(), ada(), "t", "u", false},
		{"one tool of two people", "tool", ada(), exchange("bob", "crm"), "t", "t", true},
		{"one tool name on two servers", "tool", ada(), exchange("ada", "data"), "t", "t", false},
		{"names that run together", "tool", exchange("ada", "ab"), exchange("ada", "a"), "c", "bc", false},
		{"two tenants", "tenant", with(func(x *guard.Exchange) { x.Principal.Tenant = "t1" }), with(func(x *guard.Exchange) { x.Principal.Tenant = "t2" }), "t", "t", false},
		{"two agents", "agent", with(func(x *guard.Exchange) { x.Principal.Agent = "a1" }), with(func(x *guard.Exchange) { x.Principal.Agent = "a2" }), "t", "t", false},
		{"two clients", "client", with(func(x *guard.Exchange) { x.Principal.Client = "a1" }), with(func(x *guard.Exchange) { x.Principal.Client = "a2" }), "t", "t", false},
		{"two servers", "server", ada(), exchange("ada", "data"), "t", "t", false},
		{"one server", "server", ada(), exchange("bob", "crm"), "t", "t", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := judge(t, counting(here(), quota.Rule{Name: "r", By: []string{tt.by}, Limit: rates("1/hour")}))
			if d := run(t, c, tt.a, tool(t, tt.ma)); d.Action != guard.Allow {
				t.Fatalf("first: %+v", d)
			}
			if d := run(t, c, tt.b, tool(t, tt.mb)); (d.Action != guard.Allow) != tt.shared {
				t.Errorf("second: %s %s, and shared is %v", d.Action, d.Reason, tt.shared)
			}
		})
	}
}

func TestWhatARuleIsAbout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rule    quota.Rule
		message *mcp.Message
		counts  bool
	}{
		{"a call", quota.Rule{}, tool(t, "read_file"), true},
		{"a list", quota.Rule{}, call(t, "tools/list", `{}`), true},
		{"what legacy clients begin with", quota.Rule{}, call(t, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}`), false},
		{"what modern clients begin with", quota.Rule{}, call(t, "server/discover", `{}`), false},
		{"a ping", quota.Rule{}, call(t, "ping", `{}`), false},
		{"a ping that a rule names", quota.Rule{Methods: []string{"ping"}}, call(t, "ping", `{}`), true},
		{"another method", quota.Rule{Methods: []string{"resources/*"}}, tool(t, "read_file"), false},
		{"a list, by tool", quota.Rule{By: []string{"tool"}}, call(t, "tools/list", `{}`), false},
		{"a prompt of a tool's name", quota.Rule{Tools: []string{"x"}}, call(t, "prompts/get", `{"name":"x"}`), false},
		{"a tool that the pattern names", quota.Rule{Tools: []string{"delete_*"}}, tool(t, "delete_all"), true},
		{"a tool that no pattern names", quota.Rule{Tools: []string{"delete_*", "*_write"}}, tool(t, "undelete_all"), false},
		{"another server", quota.Rule{Servers: []string{"crm-*"}}, tool(t, "x"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Name, tt.rule.Limit = "r", rates("1/hour")
			c := judge(t, counting(here(), tt.rule))
			run(t, c, exchange("ada", "crm"), tt.message)
			if d := run(t, c, exchange("ada", "crm"), tt.message); (d.Action != guard.Allow) != tt.counts {
				t.Errorf("%s %s", d.Action, d.Reason)
			}
		})
	}
}

func TestTheRefusalSaysWhatToDo(t *testing.T) {
	c := judge(t, counting(here(), quota.Rule{Name: "r", Limit: rates("1/second, 2/hour")}))
	run(t, c, exchange("ada", "crm"), tool(t, "x"))
	x := exchange("ada", "crm")
	d := c.Run(t.Context(), x, tool(t, "x"))
	r := c.Refusal(x, &d)
	body := string(r.Body)
	if r.Status != 429 || r.RetryAfter != "1" && r.RetryAfter != "2" || !strings.Contains(body, `"code":-31429`) ||
		!strings.Contains(body, `"reason":"quota_exceeded"`) || !strings.Contains(body, "Limit r: 1/second, 2/hour. Try again in "+r.RetryAfter+" s.") {
		t.Errorf("%d, Retry-After %s, %s", r.Status, r.RetryAfter, body)
	}
}

func TestACallThatDidNotReachItsServerIsGivenBack(t *testing.T) {
	no := guard.Member{Timeout: time.Second, Guard: refusing{}, Spec: guard.Spec{Name: "no", Wants: []guard.Want{{Method: "*", Direction: mcp.ToServer}}}}
	l := here()
	rule := quota.Rule{Name: "r", Limit: rates("1/hour")}
	with, without := judge(t, counting(l, rule), no), judge(t, counting(l, rule))
	for range 3 {
		if d := run(t, with, exchange("ada", "crm"), tool(t, "x")); d.Guard != "no" {
			t.Fatalf("refused by %s", d.Guard)
		}
	}
	x := exchange("ada", "crm")
	without.Run(t.Context(), x, tool(t, "x"))
	if err := without.Settle(t.Context(), x, guard.Outcome{Ending: guard.Reset}); err != nil {
		t.Fatal(err)
	}
	if d := run(t, without, exchange("ada", "crm"), tool(t, "x")); d.Action != guard.Allow {
		t.Error("calls that were never made are charged")
	}
	if d := run(t, without, exchange("ada", "crm"), tool(t, "x")); d.Action == guard.Allow {
		t.Error("a call that was made is not charged")
	}
}

type refusing struct{}

func (refusing) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	return guard.Refuse(guard.InvalidParams, ""), nil
}

// An answer that comes when nobody waits any more is not lost with the call.
func TestALateGrantIsGivenBackOnce(t *testing.T) {
	l := &slow{answer: quota.Answer{Outcome: quota.Admitted}, gate: make(chan struct{})}
	g := guardtest.Build[quota.Config](t, quota.Spec(counting(l, quota.Rule{Name: "r", Limit: rates("1/hour")})), nil)
	x := exchange("ada", "crm")
	v, err := g.Inspect(t.Context(), x, tool(t, "x"))
	if err != nil || v.Pending == nil {
		t.Fatal(v, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = v.Pending(t.Context())
	}()
	g.(guard.Settler).Settle(t.Context(), x, guard.Outcome{Ending: guard.Refused}) // the host gave up
	close(l.gate)
	<-done
	if n := l.returned.Load(); n != 1 {
		t.Errorf("given back %d times", n)
	}
}

// A limit is exceeded while the server is idle, up to what it lends, and the receipt
// says so.
func TestALimitLendsWhileTheServerIsIdle(t *testing.T) {
	idle := map[string]bool{}
	p := counting(here(), quota.Rule{Name: "r", By: []string{"principal"}, Limit: rates("4/hour")})
	p.Idle = func(server string) bool { return idle[server] }
	spec := quota.Spec(p)
	g := guardtest.Build(t, spec, func(c *quota.Config) { c.Lend = 50 })
	made := func(server string) (n int, labels string) {
		for range 20 {
			x := exchange("ada", server)
			v, err := g.Inspect(t.Context(), x, tool(t, "x"))
			if err != nil || v.Action != guard.Allow {
				return n, labels
			}
			n++
			for _, o := range v.Obligations {
				switch {
				case o.Kind == guard.AddLabel:
					labels += o.Name + " "
				case o.Name == "ratelimit" && o.Value != fmt.Sprintf(`"r";r=%d;t=3600`, max(0, 4-n)):
					if server == "busy" || o.Value != `"r";r=0;t=3600` { // what is lent is promised to nobody
						t.Errorf("call %d: %s", n, o.Value)
					}
				}
			}
		}
		return n, labels
	}
	if n, labels := made("busy"); n != 4 || labels != "" {
		t.Errorf("a busy server: %d calls, %s", n, labels)
	}
	idle["quiet"] = true
	if n, labels := made("quiet"); n != 2 || labels != "quota.lent quota.lent " {
		t.Errorf("an idle server: %d calls more, %q", n, labels)
	}
	if n, _ := made("busy"); n != 0 {
		t.Errorf("a busy server again: %d calls", n)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for want, r := range map[string]quota.Rule{
		"rules[0]: name: ":                    {Name: "No", Limit: rates("1/hour")},
		"rules[0]: limit: one of limit":       {Name: "x"},
		"and bytes is required; there are 2":  {Name: "x", Limit: rates("1/hour"), InFlight: 3},
		"streams: no tools and no methods":    {Name: "x", Streams: 3, Tools: []string{"x"}},
		"bytes: more than":                    {Name: "x", Bytes: flows("999999MiB/day")},
		"rules[0]: limit: more than":          {Name: "x", Limit: rates("1000000001/day")},
		"rules[0]: by[1]: tool is listed":     {Name: "x", Limit: rates("1/hour"), By: []string{"tool", "tool"}},
		"rules[0]: methods: a rule by tool":   {Name: "x", Limit: rates("1/hour"), By: []string{"tool"}, Methods: []string{"tools/list"}},
		"lend: only a limit of calls lends":   {Name: "x", InFlight: 3, Lend: 10},
		"lend: an exact limit is never":       {Name: "x", Limit: rates("1/hour"), Exact: true, Lend: 10},
		`rules[0]: servers[0]: "" is no patt`: {Name: "x", Limit: rates("1/hour"), Servers: []string{""}},
	} {
		_, err := guardtest.Try(quota.Spec(quota.Port{}), func(c *quota.Config) {
			c.Rules = []quota.Rule{r}
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	_, err := guardtest.Try[quota.Config](quota.Spec(counting(here(), quota.Rule{Name: "x", Limit: rates("1/hour")}, quota.Rule{Name: "x", Limit: rates("2/hour")})), nil)
	if err == nil {
		t.Error("two rules of one name")
	}
}

func BenchmarkQuota(b *testing.B) {
	for n := 1; n <= 6; n++ {
		n, headers := (n+1)/2, n%2 == 0
		b.Run(fmt.Sprintf("%d rules, headers %v", n, headers), func(b *testing.B) {
			rules := []quota.Rule{
				{Name: "per_principal", By: []string{"principal"}, Limit: rates("1000000000/hour")},
				{Name: "per_tool", By: []string{"principal", "tool"}, Limit: rates("1000000000/second, 1000000000/hour")},
				{Name: "per_tenant", By: []string{"tenant"}, Limit: rates("1000000000/hour")},
			}[:n]
			g := guardtest.Build(b, quota.Spec(counting(here(), rules...)), func(c *quota.Config) {
				c.Headers = headers
			})
			m := tool(b, "read_file")
			var x guard.Exchange // its memory is the host's
			b.ReportAllocs()
			for b.Loop() {
				x = guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: "ada", Issuer: "https://id.example"}}
				if v, err := g.Inspect(b.Context(), &x, m); err != nil || v.Action != guard.Allow {
					b.Fatal(v, err)
				}
			}
		})
	}
}

// ext_authz never learns when a call is over.
func TestWhatAHostMustTell(t *testing.T) {
	for name, r := range map[string]quota.Rule{
		"":          {Name: "r", Limit: rates("1/hour")},
		"in flight": {Name: "r", InFlight: 1},
		"streams":   {Name: "r", Streams: 1},
		"bytes":     {Name: "r", Bytes: flows("1KiB/hour")},
	} {
		if err := judge(t, counting(here(), r)).RequestsOnly(); (err != nil) != (name != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
