package budget

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// use is what one exchange reserved, and what became of it. A pending question
// writes it from another goroutine, which may be late: whoever comes second
// settles.
type use struct {
	known    *known
	claims   []Claim
	first    [5]Claim
	measures [6]guard.Measure

	price   *price
	in      int
	cost    int64 // reserved
	deadly  bool
	project string
	tool    string

	replied, failed bool
	reported        int64 // cost of what the reply reports
	counted         int64 // tokens
	told            bool  // reported is what the reply says

	mu    sync.Mutex
	state state
	real  Amounts // with over
	next  *use    // of an earlier message of the exchange
}

type state uint8

const (
	asked state = iota // an answer is pending
	held               // it is reserved
	over               // the exchange is over
)

var reserved = guard.NewSlot[*use]()

// Inspect reserves what a call may use, and reads what a reply says it used.
func (g *budgets) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	switch {
	case m.Direction == mcp.ToClient:
		return g.reply(x, m), nil
	case m.Method != "tools/call":
		return guard.Pass(), nil
	}
	var c caller
	g.begin(x, m, &c)
	k := g.charged(x, &c, g.now())
	u := &use{known: k, price: g.priceOf(x, m.Name), in: len(m.Raw), project: k.project, tool: m.Name, deadly: g.destroys(x, m.Name)}
	cost, bytes := u.price.reserve(u.in)
	u.cost = cost
	if g.perCall > 0 && cost > g.perCall {
		v := guard.Refuse(CallTooExpensive, dollars(cost)+" of "+dollars(g.perCall))
		v.Hint = "This call may cost " + dollars(cost) + "; one call may cost " + dollars(g.perCall) + "."
		return v, nil
	}
	amounts := Amounts{cost, 1, bytes, 0}
	if u.deadly {
		amounts[Destructive] = 1
	}
	u.claims = append(u.first[:0], k.claims...)
	for i := range u.claims {
		u.claims[i].Amounts = amounts
	}
	a, known := Answer{Outcome: Reserved}, true
	if len(u.claims) > 0 {
		a, known = g.ledger.TryReserve(u.claims)
	}
	if known && a.Outcome != Reserved {
		return refuse(&a, u.claims), nil
	}
	u.next, _ = reserved.Get(x)
	reserved.Set(x, u)
	if known {
		u.state = held
		return g.verdict(&a, u), nil
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) { return g.wait(ctx, u) }}, nil
}

// wait asks a ledger that has to ask somebody else.
func (g *budgets) wait(ctx context.Context, u *use) (guard.Verdict, error) {
	a, err := g.ledger.Reserve(ctx, u.claims)
	if err != nil {
		return guard.Verdict{}, fmt.Errorf("budget: reserve: %w", err)
	}
	if a.Outcome != Reserved {
		return refuse(&a, u.claims), nil
	}
	u.mu.Lock()
	late, used := u.state == over, u.real
	if !late {
		u.state = held
	}
	u.mu.Unlock()
	if late {
		g.ledger.Settle(u.claims, used)
	}
	return g.verdict(&a, u), nil
}

func (g *budgets) verdict(a *Answer, u *use) guard.Verdict {
	v := guard.Pass()
	if u.cost > 0 || len(u.claims) > 0 {
		v.Measures = append(u.measures[:0], guard.Measure{Name: "reserved_microusd", Value: u.cost})
	}
	for i := range u.claims {
		c, called := &u.claims[i], &u.known.called[i]
		if called.measure != "" {
			v.Measures = append(v.Measures, guard.Measure{Name: called.measure, Value: c.Amounts[Cost]})
		}
		if c.Crossed {
			v.Obligations = append(v.Obligations, event("budget_low", "budget "+c.Limit.Name+" is used to "+strconv.Itoa(c.Limit.Alert)+" % or more"))
		}
		if c.Low {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: called.low})
		}
	}
	if a.Unshared {
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: labelUnshared})
	}
	return v
}

// destroys reports whether a call of a tool destroys something. Where nothing is
// said of a tool, nor how such tools are called, it is taken to.
func (g *budgets) destroys(x *guard.Exchange, tool string) bool {
	if notation.MatchAny(g.deadly, tool) {
		return true
	}
	t, known := x.Server.Tool(tool)
	if known {
		return t.Destructive
	}
	return len(g.deadly) == 0
}
