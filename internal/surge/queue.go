package surge

import (
	"time"

	"github.com/sallyport/sallyport/guard/surge"
)

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
