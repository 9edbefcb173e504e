package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/guard/quota"
	own "github.com/sallyport/sallyport/internal/quota"
)

// Limiter is a [quota.Limiter] that replicas share. Somebody has to Run it.
type Limiter struct {
	o      Options
	client redis.UniversalClient
	name   string // of this replica
	now    func() time.Duration
	leases *own.Table[lease]
	holds  *own.Table[places]
	kick   chan struct{} // places are to be given back
	local  *own.Embedded // for rules with on_error local
	most   atomic.Int64
	breaker

	mu    sync.Mutex
	back  []giveBack // to be sent
	debts map[quota.Key]debt

	replicas atomic.Uint32
	counts   counts
}

type counts struct{ trips, failures, unshared, refused, lost, crowded atomic.Uint64 }

// New returns a limiter for at most most counters that this replica keeps leases
// of. now is a clock that does not go back.
func New(o Options, now func() time.Duration, most int) *Limiter {
	l := &Limiter{
		o: o, client: connect(o), now: now, name: fmt.Sprintf("%016x", rand.Uint64()), //nolint:gosec // a name, no secret
		leases: own.NewTable[lease](17), holds: own.NewTable[places](12), local: own.NewEmbedded(now, most),
		kick: make(chan struct{}, 1), debts: make(map[quota.Key]debt),
	}
	l.Bound(most)
	l.replicas.Store(1)
	return l
}

// Bound changes how many counters this replica keeps something of.
func (l *Limiter) Bound(most int) {
	l.most.Store(int64(most))
	l.local.Bound(most)
}

// TryTake knows as long as leases last, when there is known to be no room, and
// when Redis is known to be away.
func (l *Limiter) TryTake(charges []quota.Charge) (quota.Answer, bool) {
	missing, refused, wait := l.try(charges)
	switch {
	case refused >= 0:
		l.Return(charges)
		return quota.Answer{Outcome: quota.Exceeded, Charge: refused, After: wait}, true
	case missing == 0:
		return quota.Answer{Outcome: quota.Admitted}, true
	}
	if why := l.open(); why != nil {
		return l.without(charges, why), true
	}
	l.Return(charges)
	return quota.Answer{}, false
}

// Take asks Redis for what is missing.
func (l *Limiter) Take(ctx context.Context, charges []quota.Charge) (quota.Answer, error) {
	for {
		missing, refused, wait := l.try(charges)
		switch why := l.open(); {
		case refused >= 0:
			l.Return(charges)
			return quota.Answer{Outcome: quota.Exceeded, Charge: refused, After: wait}, nil
		case missing == 0:
			return quota.Answer{Outcome: quota.Admitted}, nil
		case why != nil:
			return l.without(charges, why), nil
		}
		if c, i := flying(charges); c != nil {
			switch full, err := l.enter(ctx, c); {
			case ctx.Err() != nil && c.Held == quota.Nowhere:
				l.Return(charges)
				return quota.Answer{}, ctx.Err()
			case full:
				l.Return(charges)
				return quota.Answer{Outcome: quota.Exceeded, Charge: i, After: soon}, nil
			case err != nil:
				return l.without(charges, err), nil
			}
			continue
		}
		other, asks := l.claim(charges)
		if other != nil {
			select {
			case <-other.done:
			case <-ctx.Done():
				l.Return(charges)
				return quota.Answer{}, ctx.Err()
			}
			if other.err != nil {
				return l.without(charges, other.err), nil
			}
			continue
		}
		switch full, wait, err := l.ask(ctx, asks); {
		case full >= 0:
			l.Return(charges)
			return quota.Answer{Outcome: quota.Exceeded, Charge: full, After: wait}, nil
		case err != nil:
			return l.without(charges, err), nil
		}
		return quota.Answer{Outcome: quota.Admitted}, nil
	}
}

// flying returns the first charge for a call in flight that is not held.
func flying(charges []quota.Charge) (*quota.Charge, int) {
	for i := range charges {
		if c := &charges[i]; c.Limit.Kind == quota.InFlight && c.Held == quota.Nowhere {
			return c, i
		}
	}
	return nil, -1
}

// try charges what leases can bear. It returns how many charges are missing, or
// the one for which there is known to be no room.
func (l *Limiter) try(charges []quota.Charge) (missing, refused int, wait time.Duration) {
	now := l.now()
	for i := range charges {
		c := &charges[i]
		if c.Held != quota.Nowhere {
			continue
		}
		if c.Limit.Kind == quota.InFlight {
			switch f, wait := l.occupy(c, now); f {
			case none:
				return 0, i, wait
			case ask:
				missing++
			}
			continue
		}
		n := l.lock(c)
		if n == nil {
			missing++
			continue
		}
		f, wait, stale, stamp := n.take(c, now)
		n.mu.Unlock()
		if stale > 0 {
			l.giveBack(c.Limit, c.Key, c.Group, stamp, stale)
		}
		switch f {
		case none:
			return 0, i, wait
		case ask:
			missing++
		}
	}
	return missing, -1, 0
}

// lock returns the lease of a charge, locked; nil when there is no room for one.
func (l *Limiter) lock(c *quota.Charge) *lease {
	for {
		n := l.leases.Add(c.Key, int(l.most.Load()))
		if n == nil {
			return nil
		}
		n.mu.Lock()
		if !n.gone {
			return n
		}
		n.mu.Unlock()
	}
}

// without settles a call that Redis cannot be asked about, as its rules say.
func (l *Limiter) without(charges []quota.Charge, why error) quota.Answer {
	a := quota.Answer{Outcome: quota.Admitted}
	for i := range charges {
		c := &charges[i]
		if c.Held != quota.Nowhere {
			continue
		}
		switch a.Unshared = true; c.Limit.OnError {
		case quota.OnErrorAllow:
			c.Held = quota.Unlimited
		case quota.OnErrorLocal:
			c.Lend = false // a share is not the whole, of which something could be left
			if wait := l.local.Charge(c, max(1, l.replicas.Load())); wait > 0 {
				l.Return(charges)
				return quota.Answer{Outcome: quota.Exceeded, Charge: i, After: wait}
			}
		default:
			l.counts.refused.Add(1)
			l.Return(charges)
			return quota.Answer{Charge: i, Cause: why}
		}
	}
	if a.Unshared {
		l.counts.unshared.Add(1)
	}
	return a
}

// Return gives back.
func (l *Limiter) Return(charges []quota.Charge) {
	now := l.now()
	for i := range charges {
		c := &charges[i]
		switch c.Held {
		case quota.Own:
			l.local.Return(charges[i : i+1])
		case quota.Shared:
			if c.Limit.Kind == quota.InFlight {
				l.vacate(c, now)
			} else if !l.unuse(c, now) {
				l.giveBack(c.Limit, c.Key, c.Group, c.Stamp, 1)
			}
		}
		c.Held = quota.Nowhere
	}
}

func (l *Limiter) unuse(c *quota.Charge, now time.Duration) bool {
	n := l.leases.Get(c.Key)
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.back(c, now)
}
