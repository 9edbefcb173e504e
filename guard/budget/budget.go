// Package budget limits what calls of tools cost and use up: by project, tenant,
// session, task and single call.
package budget

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Reasons of this guard.
const (
	BudgetExhausted   guard.Reason = "budget_exhausted"
	CallTooExpensive  guard.Reason = "call_too_expensive"
	BudgetUnavailable guard.Reason = "budget_unavailable"
)

const labelUnshared = "budget.unshared"

// Port is what the guard needs from outside.
type Port struct {
	// Ledger returns what keeps accounts under a configuration. Without it the
	// guard is left out.
	Ledger func(Config) (Ledger, error)
	// Usage returns what counts who used what; nil counts nothing.
	Usage func(Config) (Recorder, error)

	Budgets []Budget // that stand elsewhere in the configuration
	PerCall int64    // likewise
	Track   bool     // usage is to be counted, whatever is bounded

	Priced bool // the registry has prices

	Now  func() time.Time // with Ledger
	View *View            // learns of the guard; nil if nobody looks
}

// Spec presents the guard to the chain.
func Spec(p Port) guard.Spec {
	return guard.Define("budget", "Limits what calls of tools cost and use up, by project, tenant, session, task and call.", DefaultConfig(), func(c Config) (guard.Guard, error) {
		if err := c.validate(p.Budgets); err != nil || p.Ledger == nil {
			return nil, err
		}
		return build(&c, p)
	},
		guard.Want{Method: "tools/call", Direction: mcp.ToServer},
		guard.Want{Method: "tools/call", Direction: mcp.ToClient},
	).WithReasons(
		guard.ReasonInfo{Reason: BudgetExhausted, Status: 200, Code: guard.CodeQuota, Text: "A budget is used up. error.data.hint says which, what is left of it, and when it begins anew.",
			When: "A budget of `guards.budget.budgets`, `cost_controls` or `autonomy_controls` has less left than the call may use, or its time has passed; the hint names it."},
		guard.ReasonInfo{Reason: CallTooExpensive, Status: 200, Code: guard.CodeQuota, Text: "This call would cost more than one call may. Ask for less, or for a higher budget.",
			When: "What the call is expected to cost is more than `guards.budget.per_call` or `cost_controls.budgets.per_tool_call`."},
		guard.ReasonInfo{Reason: BudgetUnavailable, Status: 503, Code: guard.CodeNotJudged, Text: "The gateway cannot keep account at the moment and therefore passes no calls on. Try again later.",
			When: "Redis cannot be asked, and `on_error` of the budget is `deny`. The receipt's detail says why."},
	)
}

type budgets struct {
	ledger     Ledger
	usage      Recorder
	now        func() time.Time
	memo       *memo
	accounts   []*account
	perCall    int64
	prices     prices
	registry   bool     // has prices
	learned    sync.Map // prices of the registry: guard.Price -> *price
	projects   []Project
	deadly     []string
	taskHeader string
	taskMeta   string
	free       bool // failures are
	replies    bool // are read
}

func build(c *Config, p Port) (guard.Guard, error) {
	all := append(append([]Budget(nil), c.Budgets...), p.Budgets...)
	g := &budgets{
		now: p.Now, memo: recent.NewPlaces[known](), perCall: int64(c.PerCall), projects: c.Projects, deadly: c.Destructive, registry: p.Priced,
		taskHeader: c.Task.Header, taskMeta: c.Task.Meta, free: c.Failures == "free",
	}
	if p.PerCall > 0 && (g.perCall == 0 || p.PerCall < g.perCall) {
		g.perCall = p.PerCall
	}
	if len(all) == 0 && g.perCall == 0 && len(c.Prices) == 0 && !p.Track {
		return nil, nil //nolint:nilnil // as configured, there is nothing to do
	}
	bytes := false
	for i := range all {
		g.accounts = append(g.accounts, compile(&all[i], c))
		bytes = bytes || all[i].Limit.Bytes > 0
	}
	for i := range c.Prices {
		g.prices.list = append(g.prices.list, newPrice(&c.Prices[i]))
	}
	g.prices.none = new(price)
	g.replies = bytes || g.registry || g.prices.replies() || g.free && g.prices.costs()
	var err error
	if g.ledger, err = p.Ledger(*c); err != nil {
		return nil, err
	}
	if p.Usage != nil {
		if g.usage, err = p.Usage(*c); err != nil {
			return nil, err
		}
	}
	if p.View != nil {
		p.View.guard.Store(g)
	}
	return g, nil
}

// Wants leaves replies out where nothing depends on them, which spares Envoy half
// of the messages.
func (g *budgets) Wants() []guard.Want {
	out := []guard.Want{{Method: "tools/call", Direction: mcp.ToServer}}
	if g.replies {
		out = append(out, guard.Want{Method: "tools/call", Direction: mcp.ToClient})
	}
	return out
}

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

// reply reads what a reply says about its cost.
func (g *budgets) reply(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	u, _ := reserved.Get(x)
	if u == nil || !m.IsResponse() || x.Asked.Method != "tools/call" {
		return guard.Pass()
	}
	if m.Kind == mcp.Failure {
		u.failed = true
		return guard.Pass()
	}
	u.replied = true
	u.reported, u.counted, u.told = u.price.reported(m.Result)
	v := guard.Pass()
	cost := g.real(u, int64(len(m.Raw)))
	v.Measures = append(v.Measures, guard.Measure{Name: "cost_microusd", Value: cost})
	if u.told {
		v.Measures = append(v.Measures, guard.Measure{Name: "tokens", Value: u.counted})
	}
	if g.perCall > 0 && cost > g.perCall {
		v.Obligations = append(v.Obligations, event("call_over_budget", u.tool+" cost "+dollars(cost)+", and one call may cost "+dollars(g.perCall)))
	}
	return v
}

// real is what a call cost whose reply was out bytes long.
func (g *budgets) real(u *use, out int64) int64 {
	switch {
	case u.failed && g.free:
		return 0
	case !u.replied:
		return u.cost // nobody knows what the server did
	}
	cost := plus(u.price.before(u.in), scale(out, u.price.out, mebi))
	if u.told {
		return plus(cost, u.reported)
	}
	if len(u.price.tokens) > 0 { // a server that reports nothing does not thereby work for nothing
		return max(cost, u.cost)
	}
	return cost
}

// Settle puts what was used in the place of what was reserved.
func (g *budgets) Settle(_ context.Context, x *guard.Exchange, o guard.Outcome) {
	u, _ := reserved.Get(x)
	for ; u != nil; u = u.next {
		var used Amounts
		if o.Reached {
			used = g.used(u, &o)
			x.Use(guard.Usage{Cost: used[Cost], Tokens: u.counted})
		}
		u.mu.Lock()
		was := u.state
		u.state, u.real = over, used
		u.mu.Unlock()
		if was == held {
			g.ledger.Settle(u.claims, used)
		}
		if o.Reached && was == held && g.usage != nil {
			g.record(x, u, &o, used)
		}
	}
}

func (g *budgets) used(u *use, o *guard.Outcome) Amounts {
	if !u.replied && o.Ending == guard.Refused && (o.Status == 502 || o.Status == 503) {
		u.failed = true // the server could not be reached, or answered what is no answer
	}
	out := Amounts{g.real(u, o.BytesOut), 1, 0, 0}
	if g.replies {
		out[Bytes] = min(o.BytesOut, Most)
	}
	if u.deadly {
		out[Destructive] = 1
	}
	if u.replied {
		u.price.cost.add(max(0, out[Cost]-u.price.before(u.in)))
		u.price.bytes.add(out[Bytes])
	}
	return out
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
