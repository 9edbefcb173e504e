package budget

import (
	"math"
	"strconv"
	"sync/atomic"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// price is a Price, ready for use.
type price struct {
	servers, tools []string
	call, in, out  int64
	tokens         []tokens
	estimate       int64
	fixed          bool // estimate is the operator's

	// What replies cost, and how long they were, of late: the highest, forgotten
	// by and by.
	cost, bytes highest
}

type tokens struct {
	pointer string
	million int64
}

const mebi = 1 << 20

func newPrice(p *Price) *price {
	out := &price{servers: p.Servers, tools: p.Tools, call: int64(p.Call), in: int64(p.In), out: int64(p.Out), estimate: int64(p.Estimate), fixed: p.Estimate > 0}
	for _, t := range p.Tokens {
		at, _ := pointer(t.Path) // validated
		out.tokens = append(out.tokens, tokens{at, int64(t.PerMillion)})
	}
	return out
}

// prices are all prices of a configuration.
type prices struct {
	list []*price
	none *price // what has no price costs nothing
}

// of returns the price of a call.
func (p *prices) of(x *guard.Exchange, tool string) *price {
	for _, one := range p.list {
		if (one.servers == nil || notation.MatchAny(one.servers, x.Server.Name)) && (one.tools == nil || notation.MatchAny(one.tools, tool)) {
			return one
		}
	}
	return p.none
}

// costs reports whether anything has a price.
func (p *prices) costs() bool {
	for _, one := range p.list {
		if one.call+one.in+one.out+int64(len(one.tokens)) > 0 {
			return true
		}
	}
	return false
}

// replies reports whether anything is paid by what comes back.
func (p *prices) replies() bool {
	for _, one := range p.list {
		if one.out > 0 || len(one.tokens) > 0 {
			return true
		}
	}
	return false
}

// before is what is sure before a call: its own price, and that of its bytes.
func (p *price) before(in int) int64 { return plus(p.call, scale(int64(in), p.in, mebi)) }

// reserve is what a call is expected to use. Where only the reply tells, that is
// something: who has nothing left gets no call on credit.
func (p *price) reserve(in int) (cost, bytes int64) {
	cost = p.estimate
	if !p.fixed {
		cost = p.cost.get()
	}
	if cost == 0 && (p.out > 0 || len(p.tokens) > 0) {
		cost = 1
	}
	return plus(p.before(in), cost), max(1, p.bytes.get())
}

// reported is the price of the tokens that a result reports; ok says whether it
// reports any.
func (p *price) reported(result []byte) (cost, count int64, ok bool) {
	for _, t := range p.tokens {
		v, found := mcp.Lookup(result, t.pointer)
		if !found {
			continue
		}
		n, found := number(string(v))
		if !found {
			continue
		}
		cost, count, ok = plus(cost, scale(n, t.million, 1_000_000)), plus(count, n), true
	}
	return cost, count, ok
}

// number reads a JSON number that counts something: nothing below zero, and parts
// of one as one.
func number(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return min(n, Most), n >= 0
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0) {
		return 0, false
	}
	return int64(math.Ceil(min(f, Most))), true
}

// highest is the highest of the numbers that came of late.
type highest struct{ v atomic.Int64 }

func (r *highest) get() int64 { return r.v.Load() }

// add takes in n. A lower one takes a sixteenth away from what is remembered, so
// that one outlier does not hold others up for long. A number that is lost to
// another at the same moment does no harm.
func (r *highest) add(n int64) {
	have := r.v.Load()
	r.v.CompareAndSwap(have, max(n, have-have/16))
}

// priceOf returns what calls of a tool cost: what the configuration says, else
// what the registry says.
func (g *budgets) priceOf(x *guard.Exchange, tool string) *price {
	p := g.prices.of(x, tool)
	if p != g.prices.none || !g.registry {
		return p
	}
	said, ok := x.Server.Price(tool)
	if !ok {
		return p
	}
	have, ok := g.learned.Load(said) // as many as the registry has
	if !ok {
		have, _ = g.learned.LoadOrStore(said, registered(&said))
	}
	return have.(*price)
}

func registered(r *guard.Price) *price {
	p := &price{call: r.Call, in: r.In, out: r.Out, estimate: r.Estimate, fixed: r.Estimate > 0}
	if at, err := pointer(r.Tokens); err == nil && r.Million > 0 {
		p.tokens = []tokens{{at, r.Million}}
	}
	return p
}
