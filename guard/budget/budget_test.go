package budget_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/guardtest"
	embedded "github.com/sallyport/sallyport/internal/budget"
	"github.com/sallyport/sallyport/mcp"
)

func TestConformance(t *testing.T) {
	for name, l := range map[string]budget.Ledger{
		"kept here":   here(),
		"reserved":    &slow{answer: budget.Answer{Outcome: budget.Reserved, Unshared: true}},
		"exhausted":   &slow{answer: budget.Answer{Outcome: budget.Exhausted, After: time.Minute}},
		"unavailable": &slow{answer: budget.Answer{Cause: errors.New("no Redis")}},
		"failing":     &slow{err: errors.New("given up")},
	} {
		t.Run(name, func(t *testing.T) {
			guardtest.Run(t, budget.Spec(keep(l)), guardtest.Config{Name: "budgets", Varies: true, Set: func(c any) {
				o := c.(*budget.Config)
				o.Budgets = []budget.Budget{
					{Name: "all", By: []string{"principal", "agent", "client", "tenant", "project", "server", "tool"}, Per: "hour", Limit: budget.Bounds{Cost: 100, Calls: 3}, OnError: "deny", Alert: 50},
					{Name: "task", By: []string{"task"}, Limit: budget.Bounds{Calls: 2, Bytes: 1 << 20, Destructive: 1, Time: time.Minute}, OnError: "deny"},
				}
				o.Prices = []budget.Price{{Call: 7, In: 1_000_000, Out: 1_000_000, Tokens: []budget.Tokens{{Path: "_meta.usage.totalTokens", PerMillion: 5}}}}
			}})
		})
	}
}

const fine = `"result":{"content":[]}`

func TestARenamedTaskOrSessionIsNoNewBudget(t *testing.T) {
	for name, c := range map[string]func(i int) caller{
		"one task":                       func(int) caller { return caller{person: "ada", meta: "t"} },
		"a new task each time":           func(i int) caller { return caller{person: "ada", meta: fmt.Sprint(i)} },
		"a new session each time":        func(i int) caller { return caller{person: "ada", session: fmt.Sprint(i)} },
		"no session, as of 2026-07-28":   func(int) caller { return caller{person: "ada"} },
		"sessions and none in turn":      func(i int) caller { return caller{person: "ada", session: strings.Repeat("s", i%2)} },
		"a new OAuth client each time":   func(i int) caller { return caller{person: "ada", client: fmt.Sprint(i)} },
		"one task of the issuer's":       func(int) caller { return caller{person: "ada", task: "t"} },
		"a task named like the issuer's": func(int) caller { return caller{person: "ada", task: "t", meta: "other"} },
	} {
		t.Run(name, func(t *testing.T) {
			if n := judge(t, keep(here()), sandbox).until(c, "search"); n != 3 {
				t.Errorf("%d calls of 3", n)
			}
		})
	}
}

func TestTasksThatTheIssuerNamesHaveBudgetsOfTheirOwn(t *testing.T) {
	r := judge(t, keep(here()), sandbox)
	if n := r.until(func(i int) caller { return caller{person: "ada", task: fmt.Sprint(i / 3 % 2)} }, "search"); n != 6 {
		t.Errorf("two tasks made %d calls", n)
	}
	// Nobody uses up another's task by its name.
	if n := r.until(func(int) caller { return caller{person: "eve", task: "0"} }, "search"); n != 3 {
		t.Errorf("another's task of that name made %d calls", n)
	}
	if n := r.until(func(int) caller { return caller{person: "bob", meta: "0"} }, "search"); n != 3 {
		t.Errorf("a claimed task of that name made %d calls", n)
	}
}

func TestARefusalSaysWhatIsLeftAndWhenItBeginsAnew(t *testing.T) {
	r := judge(t, keep(here()), func(o *budget.Config) {
		o.Prices = []budget.Price{{Call: 400_000}}
		o.Budgets = []budget.Budget{{Name: "team", By: []string{"tenant"}, Per: "month", Limit: budget.Bounds{Cost: 1_000_000}, OnError: "deny"}}
	})
	r.call(caller{tenant: "acme"}, "x")
	r.call(caller{tenant: "acme"}, "x")
	d := r.call(caller{tenant: "acme"}, "x")
	if d.Reason != budget.BudgetExhausted || !strings.HasPrefix(d.Hint, "Budget team: $0.2 of $1 left, and this call may cost $0.4. It begins anew in ") {
		t.Errorf("%s %q", d.Reason, d.Hint)
	}
	if body := string(r.Refusal(&guard.Exchange{}, &d).Body); !strings.Contains(body, "A budget is used up") || r.Refusal(&guard.Exchange{}, &d).RetryAfter == "" {
		t.Error(body)
	}
	if d := r.call(caller{tenant: "other"}, "x"); d.Action != guard.Allow {
		t.Errorf("another tenant: %+v", d)
	}
}

func TestAnAnswerThatComesTooLateIsGivenBack(t *testing.T) {
	l := &slow{answer: budget.Answer{Outcome: budget.Reserved}, gate: make(chan struct{})}
	spec := budget.Spec(keep(l))
	g := guardtest.Build(t, spec, sandbox)
	x := &guard.Exchange{}
	v, err := g.Inspect(t.Context(), x, guardtest.Decode(t, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`))
	if err != nil || v.Pending == nil {
		t.Fatalf("%+v, %v", v, err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = v.Pending(t.Context()) }()
	g.(guard.Settler).Settle(t.Context(), x, guard.Outcome{Ending: guard.TimedOut})
	close(l.gate)
	<-done
	if len(l.settled) != 1 || l.settled[0] != (budget.Amounts{}) {
		t.Errorf("settled with %v", l.settled)
	}
}

func TestTheAlertIsAnEventAndALabel(t *testing.T) {
	r := judge(t, keep(here()), func(o *budget.Config) {
		o.Budgets = []budget.Budget{{Name: "team", Per: "day", Limit: budget.Bounds{Calls: 10}, Alert: 80, OnError: "deny"}}
	})
	events, labels := 0, 0
	for i := range 10 {
		x, d := r.begin(caller{}, "x")
		for _, e := range d.Events {
			if events++; e.Kind != "budget_low" || i != 7 {
				t.Errorf("call %d: %+v", i+1, e)
			}
		}
		for _, l := range x.Labels() {
			if labels++; l != "budget.team.low" {
				t.Errorf("label %s", l)
			}
		}
		r.finish(x, fine)
	}
	if events != 1 || labels != 3 {
		t.Errorf("%d events, %d labels", events, labels)
	}
}

func TestDestructiveCallsAreCounted(t *testing.T) {
	only := func(patterns ...string) func(*budget.Config) {
		return func(o *budget.Config) {
			o.Destructive = patterns
			o.Budgets = []budget.Budget{{Name: "b", By: []string{"principal"}, Per: "day", Limit: budget.Bounds{Destructive: 2}, OnError: "deny"}}
		}
	}
	ada := func(int) caller { return caller{person: "ada"} }
	if r := judge(t, keep(here()), only("delete_*")); r.until(ada, "delete_all") != 2 || r.until(ada, "read") != 100 {
		t.Error("by their names")
	}
	if r := judge(t, keep(here()), only()); r.until(ada, "anything") != 2 {
		t.Error("a tool of which nothing is known is not taken for harmless")
	}
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	ok := budget.Bounds{Calls: 1}
	for want, set := range map[string]func(*budget.Config){
		"budgets[0]: name:": func(o *budget.Config) { o.Budgets = []budget.Budget{{Name: "A", Per: "day", Limit: ok}} },
		"is the name of two": func(o *budget.Config) {
			o.Budgets = []budget.Budget{{Name: "a", Per: "day", Limit: ok}, {Name: "a", Per: "day", Limit: ok}}
		},
		"limit: bounds nothing": func(o *budget.Config) { o.Budgets = []budget.Budget{{Name: "a", Per: "day"}} },
		"per: is required":      func(o *budget.Config) { o.Budgets = []budget.Budget{{Name: "a", Limit: ok}} },
		"per: a budget by session": func(o *budget.Config) {
			o.Budgets = []budget.Budget{{Name: "a", By: []string{"task"}, Per: "day", Limit: ok}}
		},
		"limit: time is for": func(o *budget.Config) {
			o.Budgets = []budget.Budget{{Name: "a", Per: "day", Limit: budget.Bounds{Time: time.Hour}}}
		},
		"memory: is shorter than the time": func(o *budget.Config) {
			o.Budgets = []budget.Budget{{Name: "a", By: []string{"task"}, Limit: budget.Bounds{Time: 48 * time.Hour}}}
		},
		"by[1]: task is listed twice": func(o *budget.Config) {
			o.Budgets = []budget.Budget{{Name: "a", By: []string{"task", "task"}, Limit: ok}}
		},
		"memory: is shorter than window": func(o *budget.Config) { o.Memory = time.Minute },
		"tokens[0]: path:":               func(o *budget.Config) { o.Prices = []budget.Price{{Tokens: []budget.Tokens{{Path: "a..b"}}}} },
		"projects[0]: needs":             func(o *budget.Config) { o.Projects = []budget.Project{{Name: "a"}} },
		"task: header:":                  func(o *budget.Config) { o.Task.Header = "X Y" },
		"17 budgets":                     func(o *budget.Config) { o.Budgets = make([]budget.Budget, 17) },
	} {
		_, err := guardtest.Try(budget.Spec(keep(here())), set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestProjectsAreMapped(t *testing.T) {
	r := judge(t, keep(here()), func(o *budget.Config) {
		o.Projects = []budget.Project{{Name: "research", Tenants: []string{"lab-*"}}}
		o.Budgets = []budget.Budget{{Name: "p", By: []string{"project"}, Per: "month", Limit: budget.Bounds{Calls: 3}, OnError: "deny"}}
	})
	if n := r.until(func(i int) caller { return caller{tenant: fmt.Sprint("lab-", i)} }, "x"); n != 3 {
		t.Errorf("a project of many tenants made %d calls", n)
	}
	if n := r.until(func(int) caller { return caller{tenant: "acme"} }, "x"); n != 3 {
		t.Errorf("a tenant without a project made %d calls", n)
	}
}

// A token may name a project; that is one of its tenant, so that nobody uses up the
// budget of another tenant's project by its name.
func TestAProjectOfATokenIsOneOfItsTenant(t *testing.T) {
	r := judge(t, keep(here()), func(o *budget.Config) {
		o.Projects = []budget.Project{{Name: "ops", Roles: []string{"operator"}}}
		o.Budgets = []budget.Budget{{Name: "p", By: []string{"project"}, Per: "month", Limit: budget.Bounds{Calls: 2}}}
	})
	call := func(tenant, project string, roles ...string) bool {
		r.n++
		x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: "ada", Issuer: "i", Tenant: tenant, Project: project, Roles: roles}}
		d := r.Run(t.Context(), x, guardtest.Decode(t, mcp.ToServer, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"x","arguments":{}}}`, r.n)))
		return d.Action == guard.Allow
	}
	for _, tt := range []struct {
		tenant, project, role string
		same                  bool // as the line before
	}{
		{"acme", "research", "", false},
		{"globex", "research", "", false}, // by the same name
		{"", "research", "", false},
		{"acme", "", "", false}, // the tenant's own
		{"acme", "acme", "", true},
		{"globex", "acme", "", false},
		{"", "acme", "", false},                  // a token without a tenant does not use up what is acme's
		{"", "ops", "", false},                   // nor what is the operator's
		{"acme", "research2", "operator", false}, // the operator's word comes first
		{"globex", "", "operator", true},
	} {
		roles := []string(nil)
		if tt.role != "" {
			roles = []string{tt.role}
		}
		n := 0
		for range 3 {
			if call(tt.tenant, tt.project, roles...) {
				n++
			}
		}
		if want := map[bool]int{false: 2, true: 0}[tt.same]; n != want {
			t.Errorf("%+v: %d calls, want %d", tt, n, want)
		}
	}
}

// What is remembered of a caller ends with the period of its budgets.
func TestABudgetBeginsAnewForACallerThatIsRemembered(t *testing.T) {
	now := time.Date(2026, 11, 30, 23, 59, 50, 0, time.UTC)
	p := keep(embedded.NewEmbedded(func() time.Time { return now }, 1000))
	p.Now = func() time.Time { return now }
	r := judge(t, p, func(o *budget.Config) {
		o.Budgets = []budget.Budget{{Name: "m", By: []string{"principal"}, Per: "month", Limit: budget.Bounds{Calls: 2}}, {Name: "h", By: []string{"server"}, Per: "hour", Limit: budget.Bounds{Calls: 100}}}
	})
	for _, month := range []string{"November", "December"} {
		if n := r.until(func(int) caller { return caller{person: "ada"} }, "x"); n != 2 {
			t.Errorf("%d calls in %s, want 2", n, month)
		}
		now = now.Add(10 * time.Second)
	}
	now = now.Add(time.Hour) // of the same month
	if d := r.call(caller{person: "ada"}, "x"); d.Action == guard.Allow {
		t.Error("the month began anew with the hour")
	}
}

func TestPoliciesSeeWhatIsLeftWithoutAskingAnybody(t *testing.T) {
	view := new(budget.View)
	p := keep(here())
	p.View = view
	r := judge(t, p, func(o *budget.Config) {
		sandbox(o)
		o.Budgets[0].Limit = budget.Bounds{Cost: 1000, Calls: 4, Time: time.Hour}
		o.Budgets[0].Alert = 50
		o.Prices = []budget.Price{{Call: 300}}
	})
	x, _ := r.begin(caller{person: "ada"}, "x")
	if left := string(view.Remaining(&guard.Exchange{Principal: guard.Principal{Subject: "nobody"}}, nil)); left != "" {
		t.Errorf("of somebody unknown: %s", left)
	}
	r.finish(x, fine)
	r.call(caller{person: "ada"}, "x")
	if left := string(view.Remaining(x, nil)); left != `{"remaining":{"sandbox":{"thousandths":400,"cost":400,"calls":2,"time":3599}},"low":["sandbox"]}` {
		t.Errorf("%s", left)
	}
	claims, books, err := view.Accounts("sandbox", &budget.Who{Subject: "ada", Issuer: "https://id.example"})
	if err != nil || len(claims) != 2 {
		t.Fatalf("%v, %v", claims, err)
	}
	for i := range claims {
		if s, err := books.Read(t.Context(), &claims[i]); err != nil || s.Used[budget.Calls] != 2 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if _, _, err := view.Accounts("sandbocks", &budget.Who{}); err == nil || !strings.Contains(err.Error(), "there are: sandbox") {
		t.Error(err)
	}
}

func BenchmarkInspectAndSettle(b *testing.B) {
	spec := budget.Spec(keep(here()))
	g := guardtest.Build(b, spec, func(o *budget.Config) {
		o.Prices = []budget.Price{{Call: 1}}
		o.Budgets = []budget.Budget{
			{Name: "project", By: []string{"project"}, Per: "month", Limit: budget.Bounds{Cost: budget.Most}, Alert: 80},
			{Name: "session", By: []string{"session"}, Limit: budget.Bounds{Cost: budget.Most}, Alert: 80},
			{Name: "sandbox", By: []string{"task"}, Limit: budget.Bounds{Cost: budget.Most, Calls: budget.Most, Time: 24 * time.Hour}, Alert: 80},
		}
	})
	m := guardtest.Decode(b, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"q":"x"}}}`)
	p := guard.Principal{Subject: "ada", Issuer: "https://id.example", Client: "app", Tenant: "acme"}
	b.ReportAllocs()
	for b.Loop() {
		x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: p}
		if v, err := g.Inspect(b.Context(), x, m); err != nil || v.Action != guard.Allow {
			b.Fatal(v, err)
		}
		g.(guard.Settler).Settle(b.Context(), x, guard.Outcome{Reached: true})
	}
}
