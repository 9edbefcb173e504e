package redis

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	own "github.com/sallyport/sallyport/internal/quota"
)

// places are those in flight of one counter that this replica holds in Redis.
// Redis believes it for a while and is told again in time; so the places of a
// replica that died come free by themselves.
type places struct {
	mu    sync.Mutex
	gone  bool
	limit *quota.Limit
	key   quota.Key
	group uint64

	held  uint32        // in Redis
	used  uint32        // by calls
	spare uint32        // that may stay held unused
	free  uint32        // beside them, when Redis was asked
	until time.Duration // Redis believes it
	idle  time.Duration // until then unused ones stay
	hush  time.Duration // until then there is known to be no room
	last  time.Duration // used
	trip  *trip         // under way for this counter
}

// holdTime is how long Redis believes that a replica lives.
func (l *Limiter) holdTime() time.Duration {
	if l.o.HoldTime > 0 {
		return l.o.HoldTime
	}
	return forgetful
}

// place returns what is held for a charge, locked. Keys for which there is no
// room share one, so that nobody gets round a limit by making up keys.
func (l *Limiter) place(c *quota.Charge) *places {
	for {
		n := l.holds.Add(c.Key, int(l.most.Load()))
		if n == nil {
			l.counts.crowded.Add(1)
			c.Key = own.Crowd(c.Limit)
			c.Group = binary.BigEndian.Uint64(c.Key[:])
			n = l.holds.Add(c.Key, math.MaxInt)
		}
		n.mu.Lock()
		if !n.gone {
			n.limit, n.key, n.group = c.Limit, c.Key, c.Group
			return n
		}
		n.mu.Unlock()
	}
}

// occupy takes a place that is held and unused.
func (l *Limiter) occupy(c *quota.Charge, now time.Duration) (f finding, wait time.Duration) {
	n := l.place(c)
	defer n.mu.Unlock()
	n.last = now
	switch {
	case n.used < n.held && now < n.until:
		n.take(c, now)
		return took, 0
	case now < n.hush:
		return none, soon
	}
	return ask, 0
}

// soon is when a call in flight may be over: nobody knows.
const soon = time.Second

func (n *places) take(c *quota.Charge, now time.Duration) {
	n.used++
	c.Held, c.Stamp = quota.Shared, int64(now)
	c.Left, c.Tight, c.Known = n.held-n.used+n.free, 0, true
}

// enter asks Redis for a place, or waits for somebody who asks. It reports
// whether there is none.
func (l *Limiter) enter(ctx context.Context, c *quota.Charge) (full bool, err error) {
	n := l.place(c)
	now := l.now()
	n.last = now
	if n.used < n.held && now < n.until {
		n.take(c, now)
		n.mu.Unlock()
		return false, nil
	}
	if t := n.trip; t != nil {
		n.mu.Unlock()
		select {
		case <-t.done:
			return false, t.err
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	t := &trip{done: make(chan struct{})}
	n.trip = t
	need, spare := n.used+1, uint32(0)
	if !c.Limit.Exact {
		spare = min(c.Limit.Lease.Max, n.used/2+1)
	}
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.o.Timeout)
	defer cancel()
	one := []claim{{n, need, spare, false}}
	l.hold(ctx, one, now)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch now = l.now(); {
	case t.err != nil:
		return false, t.err
	case n.used < n.held:
		n.idle = now + c.Limit.Lease.Time
		n.take(c, now)
		return false, nil
	}
	n.hush = now + hushed
	return true, nil
}

// vacate makes a place free. It is given back at once where none may stay held.
func (l *Limiter) vacate(c *quota.Charge, now time.Duration) {
	n := l.holds.Get(c.Key)
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.used > 0 {
		n.used--
	}
	n.last, n.hush, n.idle = now, 0, now+c.Limit.Lease.Time
	if n.held > n.used+n.spare {
		select {
		case l.kick <- struct{}{}:
		default: // it is awake already
		}
	}
}

// claim is what Redis is to be told about one counter, whose trip the caller has
// begun.
type claim struct {
	places      *places
	need, spare uint32
	again       bool // only the time is new
}

// hold tells Redis what this replica holds, and ends the trips.
func (l *Limiter) hold(ctx context.Context, claims []claim, sent time.Duration) {
	calls := make([]call, len(claims))
	for i, c := range claims {
		n := c.places
		n.mu.Lock()
		calls[i] = call{keys: []string{l.key(n.group, n.key)}, args: []any{l.name, c.need, c.spare, n.limit.Windows[0].Count, l.holdTime().Milliseconds()}}
		n.mu.Unlock()
	}
	l.counts.trips.Add(1)
	run(ctx, l.client, holdScript, calls)
	var failed error
	for i, c := range claims {
		out, err := numbers(calls[i].out, 2)
		n := c.places
		n.mu.Lock()
		if err != nil {
			failed = fmt.Errorf("redis: hold: %w", err)
			n.trip.err = failed
		} else {
			n.held, n.free, n.until = uint32(out[0]), uint32(out[1]), sent+l.holdTime()
			if !c.again {
				n.spare = n.held - min(n.held, c.need)
			}
		}
		close(n.trip.done)
		n.trip = nil
		n.mu.Unlock()
	}
	if failed != nil {
		l.counts.failures.Add(1)
		l.failed(failed)
		return
	}
	l.succeeded()
}

// renew tells Redis of places that are not used any more, and of those whose time
// is running out; all gives back every place.
func (l *Limiter) renew(ctx context.Context, all bool) {
	now := l.now()
	var claims []claim
	l.holds.Sweep(func(n *places) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.trip != nil {
			return false
		}
		unused := n.held - min(n.held, n.used)
		lapsed := unused > 0 && (unused > n.spare || now >= n.idle)
		due := n.used > 0 && now > n.until-l.holdTime()*2/3
		switch {
		case all && n.held > 0:
			claims = append(claims, claim{n, 0, 0, false})
		case lapsed:
			n.held = n.used // nobody may take what is being given back
			claims = append(claims, claim{n, n.used, 0, false})
		case due:
			claims = append(claims, claim{n, n.held, 0, true})
		default:
			n.gone = n.held == 0 && n.used == 0 && now-n.last > forgetful
			return n.gone
		}
		n.trip = &trip{done: make(chan struct{})}
		return false
	})
	for len(claims) > 0 {
		some := claims[:min(len(claims), 200)]
		claims = claims[len(some):]
		l.tell(ctx, some, now)
	}
}

func (l *Limiter) tell(ctx context.Context, some []claim, now time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	l.hold(ctx, some, now)
}
