package budget

import (
	"context"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

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
