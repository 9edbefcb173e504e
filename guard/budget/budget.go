// Package budget limits what calls of tools cost and use up: by project, tenant,
// session, task and single call.
package budget

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
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
	return guard.Define("budget", "Limits what calls of tools cost and use up, by project, tenant, session, task and call.", Default(), func(c Config) (guard.Guard, error) {
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
