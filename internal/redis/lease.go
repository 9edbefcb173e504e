package redis

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// lease is what this replica holds of one counter: calls that Redis has counted
// and nobody has made yet. Times are those of the replica's own clock.
type lease struct {
	mu    sync.Mutex
	gone  bool
	limit *quota.Limit
	key   quota.Key
	group uint64

	calls uint32
	stamp int64         // when Redis counted them, by its clock
	until time.Duration // when they go back
	want  uint32        // what to ask for next time
	left  uint32        // beside them, when Redis was asked
	tight uint8         // window that this is of
	lent  bool          // they are beyond a window's own count

	full time.Duration // until then there is no room
	hush time.Duration // until then Redis is not asked again
	all  bool          // there is no room with what is lent either
	used time.Duration // last asked for
	trip *trip         // under way for this counter
}

// trip is a question to Redis that is under way. Whoever needs its answer waits
// for it, so that a hot counter asks once and not once per caller.
type trip struct {
	done chan struct{}
	err  error
}

// finding is what a lease says to one call.
type finding uint8

const (
	ask  finding = iota // Redis
	took                // one of the calls
	none                // there is no room
)

// hushed is how long a counter without room is believed to have none. Calls that
// others give back show after that.
const hushed = 100 * time.Millisecond

// take charges a call to the lease. stale calls have run out and go back.
func (n *lease) take(c *quota.Charge, now time.Duration) (f finding, wait time.Duration, stale uint32, stamp int64) {
	n.limit, n.key, n.group, n.used = c.Limit, c.Key, c.Group, now
	if n.calls > 0 && now >= n.until {
		stale, stamp = n.calls, n.stamp
		n.calls, n.want = 0, n.want/2
	}
	if n.calls > 0 && n.lent && !c.Lend { // the server is idle no more
		stale, stamp, n.calls = n.calls, n.stamp, 0
	}
	switch {
	case n.calls > 0 && !c.Limit.Exact:
		n.calls--
		c.Held, c.Stamp = quota.Shared, n.stamp
		c.Left, c.Tight, c.Known, c.Lent = n.calls+n.left, n.tight, true, n.lent
		return took, 0, stale, stamp
	case now < n.hush && (n.all || !c.Lend):
		return none, n.full - now, stale, stamp
	}
	return ask, 0, stale, stamp
}

// wanted is how many calls to ask Redis for: twice as many as last time if those
// did not last.
func (n *lease) wanted(l *quota.Limit, now time.Duration) uint32 {
	if l.Exact {
		return 1
	}
	if now < n.until {
		n.want *= 2
	}
	n.want = min(max(n.want, 1), max(l.Lease.Max, 1))
	return n.want
}

// grant is what Redis said about one counter.
type grant struct {
	calls uint32
	stamp int64
	left  uint32
	full  time.Duration
	tight uint8
	lent  bool
	all   bool // Redis was asked with what is lent
}

// fill takes in what Redis granted, but for the call that asked. stale calls have
// no place any more and go back.
func (n *lease) fill(g grant, l *quota.Limit, sent, now time.Duration) (stale uint32, stamp int64) {
	if g.calls == 0 {
		n.full = now + g.full
		n.hush, n.all = now+min(g.full, hushed), g.all
		return 0, 0
	}
	n.hush, n.left, n.tight, n.lent = 0, g.left, g.tight, g.lent
	if l.Exact {
		return g.calls - 1, g.stamp
	}
	stale, stamp = n.calls, n.stamp // from before, by a call that came back
	n.calls, n.stamp, n.until = g.calls-1, g.stamp, sent+l.Lease.Time
	return stale, stamp
}

// back puts a call back that was not made, if the lease it came from is alive.
func (n *lease) back(c *quota.Charge, now time.Duration) bool {
	n.hush = 0
	if n.gone || c.Limit.Exact || n.stamp != c.Stamp || now >= n.until {
		return false
	}
	n.calls++
	return true
}
