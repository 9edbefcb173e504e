package budget_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/guardtest"
	embedded "github.com/sallyport/sallyport/internal/budget"
	"github.com/sallyport/sallyport/mcp"
)

// slow is a ledger that always has to ask, and says what a test wants.
type slow struct {
	budget.Ledger
	answer budget.Answer
	err    error
	gate   chan struct{}

	mu      sync.Mutex
	settled []budget.Amounts
}

func (s *slow) TryReserve([]budget.Claim) (budget.Answer, bool) { return budget.Answer{}, false }

func (s *slow) Reserve(context.Context, []budget.Claim) (budget.Answer, error) {
	if s.gate != nil {
		<-s.gate
	}
	return s.answer, s.err
}

func (s *slow) Settle(_ []budget.Claim, used budget.Amounts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = append(s.settled, used)
}

func here() *embedded.Embedded { return embedded.NewEmbedded(time.Now, 1000) }

func keep(l budget.Ledger) budget.Port {
	return budget.Port{Now: time.Now, Ledger: func(budget.Config) (budget.Ledger, error) { return l, nil }}
}

// rig is a chain of the guard alone.
type rig struct {
	*guard.Chain
	t testing.TB
	n int
}

func judge(t testing.TB, p budget.Port, set func(*budget.Config)) *rig {
	t.Helper()
	spec := budget.Spec(p)
	g := guardtest.Build(t, spec, set)
	if g == nil {
		t.Fatal("there is nothing to do")
	}
	c, err := guard.New(guard.Host{
		Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{}),
		Await: guardtest.Await,
	}, guard.Member{Spec: spec, Guard: g, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Chain: c, t: t}
}

// caller is a person with a client of one session, or of none.
type caller struct{ person, session, task, meta, client, tenant string }

func (r *rig) begin(c caller, tool string) (*guard.Exchange, guard.Decision) {
	r.t.Helper()
	r.n++
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Revision: mcp.R20251125, Session: c.session, Started: time.Now(),
		Principal: guard.Principal{Subject: c.person, Issuer: "https://id.example", Task: c.task, Client: c.client, Tenant: c.tenant}}
	meta := ""
	if c.meta != "" {
		meta = `,"_meta":{"com.example/task":"` + c.meta + `"}`
	}
	m := guardtest.Decode(r.t, mcp.ToServer, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{}%s}}`, r.n, tool, meta))
	d := r.Run(r.t.Context(), x, m)
	if d.Action == guard.Allow {
		x.Asked = guard.Asked{Kind: mcp.Request, ID: m.Clone().ID, Method: "tools/call", Name: tool}
	}
	return x, d
}

// finish lets an exchange end with a reply, or with none.
func (r *rig) finish(x *guard.Exchange, reply string) guard.Decision {
	r.t.Helper()
	var d guard.Decision
	o := guard.Outcome{Ending: guard.Completed, Reached: true, Status: 200}
	if reply != "" {
		m := guardtest.Decode(r.t, mcp.ToClient, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%s}`, x.Asked.ID, reply))
		o.BytesOut = int64(len(m.Raw))
		d = r.Run(r.t.Context(), x, m)
	} else {
		o.Ending = guard.Reset
	}
	if err := r.Settle(r.t.Context(), x, o); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// call makes a whole call and returns the decision about its request.
func (r *rig) call(c caller, tool string) guard.Decision {
	r.t.Helper()
	x, d := r.begin(c, tool)
	if d.Action == guard.Allow {
		r.finish(x, fine)
	} else if err := r.Settle(r.t.Context(), x, guard.Outcome{Ending: guard.Refused}); err != nil {
		r.t.Fatal(err)
	}
	return d
}

func sandbox(o *budget.Config) {
	o.Budgets = []budget.Budget{{Name: "sandbox", By: []string{"task"}, Limit: budget.Bounds{Calls: 3}, OnError: "deny"}}
	o.Task = budget.Task{Header: "x-task", Meta: "com.example/task"}
}

func (r *rig) until(c func(i int) caller, tool string) int {
	for i := range 100 {
		if d := r.call(c(i), tool); d.Action != guard.Allow {
			if d.Reason != budget.BudgetExhausted {
				r.t.Fatalf("%+v", d)
			}
			return i
		}
	}
	return 100
}
