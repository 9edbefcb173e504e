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

// dispatch lets in who waits, as long as there is room.
func (g *gate) dispatch(now time.Duration) {
	for g.n < g.limit() && len(g.waiting) > 0 {
		best := -1
		turn := g.yields >= 9 // a less urgent class is due
		for i, t := range g.waiting {
			if g.fits(t) && (best < 0 || g.before(t, g.waiting[best], turn)) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		t := g.waiting[best]
		g.yield(t)
		g.remove(best)
		g.admit(t, now)
		g.counts.waited++
		close(t.ready)
	}
}

// before reports whether a comes before b.
func (g *gate) before(a, b *ticket, turn bool) bool {
	if x, y := a.call.Class, b.call.Class; x != y {
		return (x < y) != turn
	}
	if a.party != b.party {
		x, y := a.party.in*b.party.weight, b.party.in*a.party.weight
		return x < y || x == y && a.party.last < b.party.last
	}
	x, y := a.crowd, b.crowd
	if x == y {
		return false // who came first is further in front
	}
	return x.in < y.in || x.in == y.in && x.last < y.last
}

// yield counts how long the less urgent have waited.
func (g *gate) yield(t *ticket) {
	for _, w := range g.waiting {
		switch {
		case w.call.Class > t.call.Class:
			g.yields++
			return
		case w.call.Class < t.call.Class:
			g.yields = 0
		}
	}
}

// enqueue lets a call wait. When as many wait as may, the tenant with the most
// for its weight loses its last one, if that leaves it with no less than t's; a
// less urgent one goes first.
func (g *gate) enqueue(t *ticket) bool {
	g.law.want()
	most := g.config.Queue.Length
	if len(g.waiting) >= most && (most == 0 || !g.displace(t)) {
		return false
	}
	t.at, t.ready = waiting, make(chan struct{})
	t.party.waiting++
	g.waiting = append(g.waiting, t)
	return true
}

// displace refuses the call that waits with the least right to, if that is less
// than t's.
func (g *gate) displace(t *ticket) bool {
	worst := -1
	for i := len(g.waiting) - 1; i >= 0; i-- {
		w := g.waiting[i]
		if worst < 0 || g.less(w, g.waiting[worst]) {
			worst = i
		}
	}
	w := g.waiting[worst]
	// With one more of t's tenant and one less of w's, t's must still have no more.
	if w.call.Class == t.call.Class && (w.party == t.party || (w.party.waiting-1)*t.party.weight < (t.party.waiting+1)*w.party.weight) || w.call.Class < t.call.Class {
		return false
	}
	w.refusal = g.refusal(w)
	g.counts.displaced++
	g.drop(w)
	w.at = outside
	close(w.ready)
	return true
}

// less reports whether a has less right to wait than b: a less urgent call, else
// one of the tenant with more of them for its weight.
func (g *gate) less(a, b *ticket) bool {
	if a.call.Class != b.call.Class {
		return a.call.Class > b.call.Class
	}
	return a.party.waiting*b.party.weight > b.party.waiting*a.party.weight
}

// drop takes a call out of the queue.
func (g *gate) drop(t *ticket) {
	for i, w := range g.waiting {
		if w == t {
			g.remove(i)
			break
		}
	}
	t.at = outside
	g.part(t)
}

func (g *gate) remove(i int) {
	t := g.waiting[i]
	copy(g.waiting[i:], g.waiting[i+1:])
	g.waiting[len(g.waiting)-1] = nil
	g.waiting = g.waiting[:len(g.waiting)-1]
	t.party.waiting--
}

// refusal is the answer for a call that cannot be let in: whose fault it is, and
// when those before it should be through.
func (g *gate) refusal(t *ticket) surge.Answer {
	a := surge.Answer{Limit: g.limit()}
	if g.active > 1 && !g.under(t.party) {
		a.Outcome = surge.Excess
		g.counts.excess++
	} else {
		g.counts.strained++
	}
	before := 1
	for _, w := range g.waiting {
		if w != t && w.call.Class <= t.call.Class {
			before++
		}
	}
	a.After = min(time.Duration(before)*g.law.usual()/time.Duration(max(1, g.limit())), time.Minute)
	return a
}
