package quota

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// Embedded is a [quota.Limiter] for a gateway of one process.
type Embedded struct {
	now      func() time.Duration // since some moment; it does not go back
	counters *Table[counter]
	most     atomic.Int64
	crowded  atomic.Uint64
}

type counter struct {
	mu      sync.Mutex
	gone    bool
	held    uint32 // calls in flight
	until   int64  // when all of it is left behind
	windows []window
}

// NewEmbedded returns a limiter for at most most counters. now is a clock that
// does not go back.
func NewEmbedded(now func() time.Duration, most int) *Embedded {
	e := &Embedded{now: now, counters: NewTable[counter](17)}
	e.Bound(most)
	return e
}

// Bound changes the number of counters.
func (e *Embedded) Bound(most int) { e.most.Store(int64(most)) }

// Keys returns the number of counters.
func (e *Embedded) Keys() int { return e.counters.Len() }

// Crowded returns how often a counter was shared by keys for want of room.
func (e *Embedded) Crowded() uint64 { return e.crowded.Load() }

// TryTake always knows.
func (e *Embedded) TryTake(charges []quota.Charge) (quota.Answer, bool) {
	for i := range charges {
		if wait := e.Charge(&charges[i], 1); wait > 0 {
			e.Return(charges[:i])
			return quota.Answer{Outcome: quota.Exceeded, Charge: i, After: wait}, true
		}
	}
	return quota.Answer{Outcome: quota.Admitted}, true
}

// Take is TryTake.
func (e *Embedded) Take(_ context.Context, charges []quota.Charge) (quota.Answer, error) {
	a, _ := e.TryTake(charges)
	return a, nil
}

// Charge charges one call to one counter, with one of shares of its limit. It
// returns 0, or how long it takes until there is room.
func (e *Embedded) Charge(c *quota.Charge, shares uint32) time.Duration {
	now := int64(e.now())
	n := e.lock(c)
	defer n.mu.Unlock()
	if c.Limit.Kind == quota.InFlight {
		return n.enter(c, now, shares)
	}
	var wait time.Duration
	for i := range c.Limit.Windows {
		q := &c.Limit.Windows[i]
		n.windows[i].slide(now, q.Per)
		wait = max(wait, n.windows[i].free(now, *q, max(1, q.Most(c.Lend)/shares)))
	}
	if wait > 0 {
		return wait
	}
	c.Known, c.Lent = false, false
	for i := range n.windows {
		n.windows[i].add(1)
		own, sum := max(1, c.Limit.Windows[i].Count/shares), n.windows[i].sum
		if left := own - min(own, sum); !c.Known || left < c.Left {
			c.Left, c.Tight, c.Known = left, uint8(i), true
		}
		c.Lent = c.Lent || sum > own
	}
	n.keep(c.Limit, now)
	c.Held, c.Stamp = quota.Own, now
	return 0
}

// keep keeps the counter until what was charged is left behind.
func (n *counter) keep(l *quota.Limit, now int64) {
	longest := int64(l.Longest())
	n.until = now + longest + longest/Slices + 1
}

// soon is when a call in flight may be over: nobody knows.
const soon = time.Second

// enter takes one of the places in flight.
func (n *counter) enter(c *quota.Charge, now int64, shares uint32) time.Duration {
	most := max(1, c.Limit.Windows[0].Count/shares)
	if n.held >= most {
		return soon
	}
	n.held++
	c.Left, c.Tight, c.Known = most-n.held, 0, true
	n.until = now
	c.Held, c.Stamp = quota.Own, now
	return 0
}

// Spend charges more.
func (e *Embedded) Spend(charges []quota.Charge, units uint32) {
	now := int64(e.now())
	for i := range charges {
		c := &charges[i]
		if c.Held != quota.Own || c.Limit.Kind == quota.InFlight {
			continue
		}
		n := e.lock(c)
		for j, q := range c.Limit.Windows {
			n.windows[j].slide(now, q.Per)
			n.windows[j].add(units)
		}
		n.keep(c.Limit, now)
		n.mu.Unlock()
	}
}

// lock returns the counter of a charge, locked.
func (e *Embedded) lock(c *quota.Charge) *counter {
	for {
		n := e.counters.Add(c.Key, int(e.most.Load()))
		if n == nil {
			// Room for new keys is used up. Those share a counter, so that nobody
			// gets round a limit by making up keys.
			e.crowded.Add(1)
			c.Key = Crowd(c.Limit)
			n = e.counters.Add(c.Key, math.MaxInt)
		}
		n.mu.Lock()
		if !n.gone {
			if n.windows == nil && c.Limit.Kind != quota.InFlight {
				n.windows = make([]window, len(c.Limit.Windows))
			}
			return n
		}
		n.mu.Unlock()
	}
}

// Crowd is the counter of the keys for which there is no room.
func Crowd(l *quota.Limit) quota.Key {
	id := []byte("crowd " + l.Name)
	for _, w := range l.Windows {
		id = binary.BigEndian.AppendUint64(id, uint64(w.Per))
	}
	sum := sha256.Sum256(id)
	return quota.Key(sum[:16])
}

// Return gives back.
func (e *Embedded) Return(charges []quota.Charge) {
	now := int64(e.now())
	for i := range charges {
		c := &charges[i]
		if c.Held != quota.Own {
			continue
		}
		c.Held = quota.Nowhere
		n := e.counters.Get(c.Key)
		if n == nil {
			continue
		}
		n.mu.Lock()
		if c.Limit.Kind == quota.InFlight && n.held > 0 {
			n.held--
			n.until = now
		}
		for j, q := range c.Limit.Windows {
			if j < len(n.windows) {
				n.windows[j].slide(now, q.Per)
				n.windows[j].remove(c.Stamp, q.Per)
			}
		}
		n.mu.Unlock()
	}
}

// Sweep forgets counters that are of no use any more.
func (e *Embedded) Sweep() {
	now := int64(e.now())
	e.counters.Sweep(func(n *counter) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.gone = n.until < now && n.held == 0
		return n.gone
	})
}
