package redis

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/quota"
	mine "github.com/sallyport/sallyport/internal/budget"
	own "github.com/sallyport/sallyport/internal/quota"
)

// Ledger is a [budget.Ledger] that replicas share. It shares the connections of a
// [Limiter], and what that knows of Redis' health. Somebody has to Run both.
type Ledger struct {
	l        *Limiter
	name     string // of this replica
	accounts *own.Table[account]
	room     atomic.Int64

	mu     sync.Mutex
	listed []*account // with something to say to Redis

	tally struct{ trips, failures, unshared, refused, crowded atomic.Uint64 }
}

// NewLedger returns a ledger for at most most accounts of which this replica
// keeps something.
func NewLedger(l *Limiter, most int) *Ledger {
	b := &Ledger{l: l, name: fmt.Sprintf("%016x", rand.Uint64()), accounts: own.NewTable[account](16)} //nolint:gosec // a name, no secret
	b.room.Store(int64(most))
	return b
}

// Bound changes how many accounts this replica keeps something of.
func (b *Ledger) Bound(most int) { b.room.Store(int64(most)) }

// TryReserve knows as long as what is held lasts, when there is known to be too
// little, and when Redis is known to be away.
func (b *Ledger) TryReserve(claims []budget.Claim) (budget.Answer, bool) {
	missing, refused, a := b.promise(claims)
	switch {
	case refused:
		b.drop(claims)
		return a, true
	case missing == 0:
		return budget.Answer{Outcome: budget.Reserved}, true
	}
	if why := b.l.open(); why != nil {
		return b.alone(claims, why), true
	}
	b.drop(claims)
	return budget.Answer{}, false
}

// Reserve asks Redis for what is missing.
func (b *Ledger) Reserve(ctx context.Context, claims []budget.Claim) (budget.Answer, error) {
	for {
		missing, refused, a := b.promise(claims)
		switch why := b.l.open(); {
		case refused:
			b.drop(claims)
			return a, nil
		case missing == 0:
			return budget.Answer{Outcome: budget.Reserved}, nil
		case why != nil:
			return b.alone(claims, why), nil
		}
		other, asks := b.questions(claims)
		if other != nil {
			select {
			case <-other.done:
			case <-ctx.Done():
				b.drop(claims)
				return budget.Answer{}, ctx.Err()
			}
			if other.err != nil {
				return b.alone(claims, other.err), nil
			}
			continue
		}
		switch a, err := b.ask(ctx, asks); {
		case err != nil:
			return b.alone(claims, err), nil
		case a.Outcome == budget.Exhausted:
			b.drop(claims)
			return a, nil
		}
		return budget.Answer{Outcome: budget.Reserved}, nil
	}
}

// promise reserves from what is held. It returns how many claims are missing, or
// a refusal.
func (b *Ledger) promise(claims []budget.Claim) (missing int, refused bool, a budget.Answer) {
	now := b.l.now()
	for i := range claims {
		c := &claims[i]
		if c.Held {
			continue
		}
		n := b.account(c)
		f := n.take(c, now)
		if f == took {
			b.list(n)
		}
		no := n.no
		n.mu.Unlock()
		switch f {
		case none:
			no.Claim = i
			return 0, true, no
		case ask:
			missing++
		}
	}
	return missing, false, budget.Answer{}
}

// account returns the account of a claim, locked.
func (b *Ledger) account(c *budget.Claim) *account {
	for {
		n := b.accounts.Add(quota.Key(c.Key), int(b.room.Load()))
		if n == nil {
			// Room for new keys is used up. Those share an account, so that nobody
			// gets round a budget by making up keys.
			b.tally.crowded.Add(1)
			c.Key = mine.Crowd(c.Limit)
			n = b.accounts.Add(quota.Key(c.Key), math.MaxInt)
		}
		n.mu.Lock()
		if !n.gone {
			if n.limit == nil {
				n.limit, n.key, n.ends = c.Limit, c.Key, c.Ends
			}
			return n
		}
		n.mu.Unlock()
	}
}

// list notes that an account has something to say. The caller holds its lock.
func (b *Ledger) list(n *account) {
	if n.listed {
		return
	}
	n.listed = true
	b.mu.Lock()
	b.listed = append(b.listed, n)
	b.mu.Unlock()
}

// alone settles a call that Redis cannot be asked about, as its budgets say. What
// it uses is counted when Redis is back.
func (b *Ledger) alone(claims []budget.Claim, why error) budget.Answer {
	a := budget.Answer{Outcome: budget.Reserved}
	for i := range claims {
		c := &claims[i]
		if c.Held {
			continue
		}
		a.Unshared = true
		if c.Limit.OnError == budget.OnErrorDeny {
			b.tally.refused.Add(1)
			b.drop(claims)
			return budget.Answer{Claim: i, Cause: why}
		}
		n := b.account(c)
		if c.Limit.OnError == budget.OnErrorLocal {
			if no, ok := n.share(c, int64(max(1, b.l.replicas.Load())), b.l.now()); !ok {
				n.mu.Unlock()
				no.Claim = i
				b.drop(claims)
				return no
			}
		}
		n.promise(c)
		b.list(n)
		n.mu.Unlock()
	}
	if a.Unshared {
		b.tally.unshared.Add(1)
	}
	return a
}

// Settle puts what was used in the place of what was reserved.
func (b *Ledger) Settle(claims []budget.Claim, used budget.Amounts) {
	for i := range claims {
		c := &claims[i]
		n, ok := c.Account.(*account)
		if !ok || !c.Held {
			continue
		}
		n.mu.Lock()
		n.settle(c, used)
		b.list(n)
		n.mu.Unlock()
	}
}

// drop gives back what a call had been promised before it was refused.
func (b *Ledger) drop(claims []budget.Claim) {
	for i := range claims {
		c := &claims[i]
		n, ok := c.Account.(*account)
		if !ok || !c.Held {
			continue
		}
		n.mu.Lock()
		n.crossed = n.crossed || c.Crossed // whoever was to tell of it does not
		n.settle(c, budget.Amounts{})
		n.mu.Unlock()
	}
}

// Look returns what this replica knows of an account.
func (b *Ledger) Look(_ *budget.Limit, k budget.Key) (budget.State, bool) {
	n := b.accounts.Get(quota.Key(k))
	if n == nil {
		return budget.State{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.known {
		return budget.State{}, false
	}
	return n.state(b.l.now()), true
}

func (b *Ledger) accountKey(k budget.Key) string {
	return b.l.o.Prefix + ":budget:{" + hex.EncodeToString(k[:]) + "}"
}

// life is how long Redis keeps an account from its first call on, or from its
// last. Those of a period outlive it by a day, for calls that end after it.
func life(l *budget.Limit, ends time.Time) time.Duration {
	if l.Life > 0 {
		return l.Life
	}
	return max(0, time.Until(ends)) + 24*time.Hour
}

// Status tells how keeping account goes; what is said of Redis itself is in that
// of the limiter.
func (b *Ledger) Status() Status {
	return Status{
		Keys: b.accounts.Len(), Trips: b.tally.trips.Load(), Failures: b.tally.failures.Load(),
		Unshared: b.tally.unshared.Load(), Unavailable: b.tally.refused.Load(), Crowded: b.tally.crowded.Load(),
	}
}
