package redis

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
)

// account is what this replica knows and holds of one account of a budget. Times
// are those of the replica's own clock.
type account struct {
	mu     sync.Mutex
	gone   bool
	listed bool // among those that have something to say to Redis
	limit  *budget.Limit
	key    budget.Key
	ends   time.Time // of an account without a life

	spent    budget.Amounts // by settled calls of this replica, in all
	acked    budget.Amounts // of that, what Redis is known to have counted
	promised budget.Amounts // to calls on their way
	held     budget.Amounts // by this replica, as Redis knows it, less what was spent since
	until    time.Duration  // when what is held comes back by itself
	want     uint32         // how many calls' worth to ask for ahead

	known    bool
	stale    bool           // Redis may have forgotten it
	used     budget.Amounts // by all, as Redis counts it
	max      budget.Amounts // with grants; 0 bounds nothing
	others   budget.Amounts // held by other replicas
	over     int64
	opened   time.Duration // when
	since    int64         // the same in Redis' own time; 0 if nobody knows
	renews   time.Duration // when it begins anew; of an account with a life
	low      bool
	crossed  bool // and nobody was told yet
	unshared budget.Amounts

	no    budget.Answer // while hushed
	hush  time.Duration // until then Redis is not asked again
	asked time.Duration // last for a call
	trip  *trip         // under way
}

// free is what is held and nobody's.
func (n *account) free(m int) int64 { return n.held[m] - n.promised[m] }

// take promises a call what it claims, if what is held suffices.
func (n *account) take(c *budget.Claim, now time.Duration) finding {
	l := c.Limit
	n.limit, n.asked = l, now
	switch {
	case now < n.hush && n.refuses(c):
		return none
	case l.Exact || !n.known || now >= n.until || n.past(l, now) || n.alerts(c, now):
		return ask
	}
	for m, bound := range l.Max {
		if bound > 0 && c.Amounts[m] > n.free(m) && c.Amounts[m] > 0 {
			return ask
		}
	}
	n.promise(c)
	return took
}

// refuses reports whether what an account lacked a moment ago is what a call
// claims.
func (n *account) refuses(c *budget.Claim) bool {
	return n.no.Measure == budget.Time || c.Amounts[n.no.Measure] > n.no.Left
}

// past reports whether the account's time has passed.
func (n *account) past(l *budget.Limit, now time.Duration) bool {
	return l.Time > 0 && now-n.opened >= l.Time
}

// alerts reports whether a call makes the account low, which only Redis knows
// whether somebody was told of.
func (n *account) alerts(c *budget.Claim, now time.Duration) bool {
	l := c.Limit
	if l.Alert == 0 || n.low {
		return false
	}
	if l.Time > 0 && (now-n.opened)*100 >= l.Time*time.Duration(l.Alert) {
		return true
	}
	for m, bound := range l.Max {
		if bound > 0 && n.used[m]+n.spent[m]-n.acked[m]+n.promised[m]+c.Amounts[m] >= n.max[m]/100*int64(l.Alert)+n.max[m]%100*int64(l.Alert)/100 {
			return true
		}
	}
	return false
}

func (n *account) promise(c *budget.Claim) {
	for m := range c.Amounts {
		n.promised[m] += c.Amounts[m]
	}
	c.Account, c.Held, c.Low, c.Crossed = n, true, n.low, n.crossed
	n.crossed = false
}

// settle puts what was used in the place of what was promised.
func (n *account) settle(c *budget.Claim, used budget.Amounts) {
	c.Held = false
	for m := range used {
		n.promised[m] -= c.Amounts[m]
		n.spent[m] += used[m]
		n.held[m] -= used[m]
		if n.unshared[m] > 0 {
			n.unshared[m] = max(0, n.unshared[m]+used[m]-c.Amounts[m])
		}
	}
	n.hush = 0
}

// share reports whether a call is within this replica's share of what was left
// when Redis was last heard of.
func (n *account) share(c *budget.Claim, replicas int64, now time.Duration) (a budget.Answer, ok bool) {
	if n.known && n.past(c.Limit, now) {
		return budget.Answer{Outcome: budget.Exhausted, Measure: budget.Time, After: n.after(now)}, false
	}
	for m, bound := range c.Limit.Max {
		if bound == 0 || c.Amounts[m] == 0 {
			continue
		}
		if n.known {
			bound = max(0, n.max[m]-n.used[m])
		}
		if left := max(1, bound/replicas) - n.unshared[m]; bound == 0 || left < c.Amounts[m] {
			return budget.Answer{Outcome: budget.Exhausted, Measure: budget.Measure(m), Left: max(0, min(left, bound)), After: n.after(now)}, false
		}
	}
	for m := range c.Amounts {
		n.unshared[m] += c.Amounts[m]
	}
	return a, true
}

// after is how long it takes until the account begins anew; 0 if nobody knows.
func (n *account) after(now time.Duration) time.Duration {
	switch {
	case n.limit.Life == 0:
		return max(0, time.Until(n.ends))
	case n.known:
		return max(0, n.renews-now)
	}
	return 0
}

// quiet reports whether Redis knows all that there is to know.
func (n *account) quiet() bool {
	if n.spent != n.acked || n.trip != nil {
		return false
	}
	for m, bound := range n.limit.Max {
		if n.promised[m] > 0 || bound > 0 && n.held[m] > 0 {
			return false
		}
	}
	return true
}

// state is the account as this replica knows it.
func (n *account) state(now time.Duration) budget.State {
	s := budget.State{Max: n.max, Renews: n.after(now), Overrun: n.over, Low: n.low, Time: now - n.opened}
	for m := range n.used {
		s.Used[m] = n.used[m] + n.spent[m] - n.acked[m]
		s.Held[m] = n.others[m] + n.promised[m]
	}
	return s
}
