package surge

import (
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/surge"
)

// gate stands before one server. It decides who goes in next:
//
// A call is let in while fewer calls than the limit are there, and its tenant has
// less than its share of them, or fewer are there than may be lent. A share is
// the tenant's part of the limit among all who are there or wait, and one who may
// come. So a tenant that is alone gets what is lent, never all, and who comes next
// need not wait.
//
// Of those who wait, first comes the most urgent class, then the tenant with the
// least for its weight, then its caller with the least, then who came first. One
// call in ten is of a less urgent class, should any wait.
type gate struct {
	mu     sync.Mutex
	config *surge.Config
	law    law
	gone   bool
	idle   bool // unused since the last configuration

	n       int       // calls at the server
	in      []*ticket // the same
	tenants map[string]*party
	weights int // of all parties with calls
	active  int // parties with calls
	waiting []*ticket
	grants  uint64 // so far
	yields  int    // grants since a less urgent class had its turn

	counts counts
}

type counts struct{ admitted, waited, strained, excess, displaced uint64 }

// party is a tenant.
type party struct {
	weight  int
	calls   int // here, or on their way in
	in      int
	waiting int
	last    uint64 // its last grant
	callers map[string]*crowd
}

// crowd is a caller of a tenant.
type crowd struct {
	calls, in int
	last      uint64
}

func newGate(c *surge.Config) *gate {
	g := &gate{tenants: make(map[string]*party)}
	g.configure(c)
	return g
}

func (g *gate) configure(c *surge.Config) {
	g.config = c
	g.law.configure(c)
}

func (g *gate) limit() int { return g.law.calls() }

// Tenants, and callers of each, that are remembered while they have no calls.
const (
	idleTenants = 256
	idleCallers = 64
)

// join makes a call one of its tenant's.
func (g *gate) join(t *ticket) {
	p := g.tenants[t.call.Tenant]
	if p == nil {
		p = &party{callers: make(map[string]*crowd)}
		g.tenants[strings.Clone(t.call.Tenant)] = p
	}
	if p.calls == 0 {
		p.weight = t.call.Weight
		g.weights += p.weight
		g.active++
	}
	p.calls++
	c := p.callers[t.call.Caller]
	if c == nil {
		c = new(crowd)
		p.callers[strings.Clone(t.call.Caller)] = c
	}
	c.calls++
	t.party, t.crowd = p, c
}

// part takes a call from its tenant.
func (g *gate) part(t *ticket) {
	p, c := t.party, t.crowd
	if c.calls--; c.calls == 0 && len(p.callers) > idleCallers {
		delete(p.callers, t.call.Caller)
	}
	if p.calls--; p.calls == 0 {
		g.active--
		g.weights -= p.weight
		if len(g.tenants) > idleTenants {
			delete(g.tenants, t.call.Tenant)
		}
	}
}

// under reports whether a tenant has less than its share.
func (g *gate) under(p *party) bool {
	all := max(g.weights, p.weight+1)
	return p.in*all < g.limit()*p.weight
}

// lent is up to where tenants go beyond their share. What is above is for those
// who come.
func (g *gate) lent() int {
	if g.law.trial {
		return g.limit()
	}
	return max(1, g.limit()*g.config.Lend/100)
}

// fits reports whether there is room for a call.
func (g *gate) fits(t *ticket) bool {
	if g.n >= g.limit() {
		return false
	}
	return g.n < g.lent() || t.call.Class == 0 && g.under(t.party)
}

func (g *gate) admit(t *ticket, now time.Duration) {
	g.n++
	g.grants++
	t.party.in++
	t.party.last = g.grants
	t.crowd.in++
	t.crowd.last = g.grants
	t.at, t.entered, t.beside = inside, now, g.n
	g.counts.admitted++
	t.index, g.in = len(g.in), append(g.in, t)
}

func (g *gate) release(t *ticket, e surge.Ending, now time.Duration) {
	g.n--
	t.party.in--
	t.crowd.in--
	last := g.in[len(g.in)-1]
	last.index, g.in[t.index] = t.index, last
	g.in[len(g.in)-1] = nil
	g.in = g.in[:len(g.in)-1]
	g.law.leave(t, e, now)
	g.part(t)
}
