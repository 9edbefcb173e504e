// Package budget keeps the accounts of budgets in this process, all of them on one
// machine, as far as nobody else has to know; and it counts who used what.
package budget

import (
	"context"
	"crypto/sha256"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	keys "github.com/sallyport/sallyport/guard/quota"
	own "github.com/sallyport/sallyport/internal/quota"
)

// Embedded is a [budget.Ledger] for a gateway of one process.
type Embedded struct {
	now      func() time.Time
	accounts *own.Table[account]
	most     atomic.Int64
	crowded  atomic.Uint64
}

// account is what was used of one budget.
type account struct {
	mu     sync.Mutex
	gone   bool
	opened time.Time // zero while nothing was reserved
	renews time.Time
	used   budget.Amounts
	held   budget.Amounts // by calls on their way
	more   budget.Amounts // granted
	over   int64
	told   bool
}

// NewEmbedded returns a ledger of at most most accounts.
func NewEmbedded(now func() time.Time, most int) *Embedded {
	e := &Embedded{now: now, accounts: own.NewTable[account](16)}
	e.Bound(most)
	return e
}

// Bound changes the number of accounts.
func (e *Embedded) Bound(most int) { e.most.Store(int64(most)) }

// Keys returns the number of accounts.
func (e *Embedded) Keys() int { return e.accounts.Len() }

// Crowded returns how often an account was shared by keys for want of room.
func (e *Embedded) Crowded() uint64 { return e.crowded.Load() }

// TryReserve always knows.
func (e *Embedded) TryReserve(claims []budget.Claim) (budget.Answer, bool) {
	now := e.now()
	for i := range claims {
		if a := e.reserve(&claims[i], now); a.Outcome != budget.Reserved {
			a.Claim = i
			e.drop(claims[:i])
			return a, true
		}
	}
	return budget.Answer{Outcome: budget.Reserved}, true
}

// Reserve is TryReserve.
func (e *Embedded) Reserve(_ context.Context, claims []budget.Claim) (budget.Answer, error) {
	a, _ := e.TryReserve(claims)
	return a, nil
}

func (e *Embedded) reserve(c *budget.Claim, now time.Time) budget.Answer {
	n := e.lock(c, now)
	defer n.mu.Unlock()
	l := c.Limit
	if age := now.Sub(n.opened); l.Time > 0 && !n.opened.IsZero() && age >= l.Time {
		return budget.Answer{Outcome: budget.Exhausted, Measure: budget.Time, After: n.renews.Sub(now)}
	}
	for m, bound := range l.Max {
		if bound == 0 || c.Amounts[m] == 0 { // what costs nothing needs no money
			continue
		}
		if left := bound + n.more[m] - n.used[m] - n.held[m]; left < c.Amounts[m] {
			return budget.Answer{Outcome: budget.Exhausted, Measure: budget.Measure(m), Left: max(0, left), After: n.after(now)}
		}
	}
	n.touch(l, c.Ends, now)
	for m := range c.Amounts {
		n.held[m] += c.Amounts[m]
	}
	c.Account, c.Held = n, true
	c.Low = n.low(l, now)
	c.Crossed = c.Low && !n.told
	n.told = c.Low
	return budget.Answer{Outcome: budget.Reserved}
}

// touch opens the account, or notes that it is in use.
func (n *account) touch(l *budget.Limit, ends, now time.Time) {
	switch {
	case n.opened.IsZero():
		n.opened = now
		n.renews = ends
		if l.Life > 0 {
			n.renews = now.Add(l.Life)
		}
	case l.Resting:
		n.renews = now.Add(l.Life)
	}
}

// low reports whether some bound is used up to the share at which people are
// told.
func (n *account) low(l *budget.Limit, now time.Time) bool {
	if l.Alert == 0 {
		return false
	}
	if l.Time > 0 && !n.opened.IsZero() && now.Sub(n.opened) >= l.Time/100*time.Duration(l.Alert) {
		return true
	}
	for m, bound := range l.Max {
		if bound > 0 && n.used[m]+n.held[m] >= (bound+n.more[m])/100*int64(l.Alert)+(bound+n.more[m])%100*int64(l.Alert)/100 {
			return true
		}
	}
	return false
}

func (n *account) after(now time.Time) time.Duration {
	if n.renews.IsZero() {
		return 0
	}
	return n.renews.Sub(now)
}

// lock returns the account of a claim, locked.
func (e *Embedded) lock(c *budget.Claim, now time.Time) *account {
	for {
		n := e.accounts.Add(keys.Key(c.Key), int(e.most.Load()))
		if n == nil {
			// Room for new keys is used up. Those share an account, so that nobody
			// gets round a budget by making up keys.
			e.crowded.Add(1)
			n = e.accounts.Add(keys.Key(Crowd(c.Limit)), math.MaxInt)
		}
		n.mu.Lock()
		if !n.gone {
			n.renew(now)
			return n
		}
		n.mu.Unlock()
	}
}

// renew begins anew if it is time. What is reserved stays reserved.
func (n *account) renew(now time.Time) {
	if !n.opened.IsZero() && !now.Before(n.renews) {
		n.opened, n.renews, n.told = time.Time{}, time.Time{}, false
		n.used, n.more, n.over = budget.Amounts{}, budget.Amounts{}, 0
	}
}

// Crowd is the account of the keys for which there is no room.
func Crowd(l *budget.Limit) budget.Key {
	sum := sha256.Sum256([]byte("crowd " + l.Name))
	return budget.Key(sum[:16])
}

// Settle puts what was used in the place of what was reserved.
func (e *Embedded) Settle(claims []budget.Claim, used budget.Amounts) {
	for i := range claims {
		c := &claims[i]
		n, ok := c.Account.(*account)
		if !ok || !c.Held {
			continue
		}
		c.Held = false
		n.mu.Lock()
		for m := range used {
			n.held[m] -= c.Amounts[m]
			n.used[m] += used[m]
		}
		n.clamp(c.Limit)
		n.mu.Unlock()
	}
}

// drop gives back what a call had reserved before it was refused.
func (e *Embedded) drop(claims []budget.Claim) {
	for i := range claims {
		if n, ok := claims[i].Account.(*account); ok && claims[i].Crossed {
			n.mu.Lock()
			n.told = false // whoever was to tell of it does not
			n.mu.Unlock()
		}
	}
	e.Settle(claims, budget.Amounts{})
}

// clamp keeps the account from falling below zero.
func (n *account) clamp(l *budget.Limit) {
	for m, bound := range l.Max {
		if most := bound + n.more[m]; bound > 0 && n.used[m] > most {
			if budget.Measure(m) == budget.Cost {
				n.over = min(budget.Most, n.over+n.used[m]-most)
			}
			n.used[m] = most
		}
	}
}

// Look returns an account.
func (e *Embedded) Look(l *budget.Limit, k budget.Key) (budget.State, bool) {
	n := e.accounts.Get(keys.Key(k))
	if n == nil {
		return budget.State{}, false
	}
	now := e.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.renew(now)
	return n.state(l, now), true
}

func (n *account) state(l *budget.Limit, now time.Time) budget.State {
	s := budget.State{Used: n.used, Held: n.held, Overrun: n.over, Low: n.low(l, now), Renews: max(0, n.after(now))}
	if !n.opened.IsZero() {
		s.Time = now.Sub(n.opened)
	}
	for m, bound := range l.Max {
		if bound > 0 {
			s.Max[m] = bound + n.more[m]
		}
	}
	return s
}

// Read returns an account.
func (e *Embedded) Read(_ context.Context, c *budget.Claim) (budget.State, error) {
	s, _ := e.Look(c.Limit, c.Key)
	if s.Max == (budget.Amounts{}) {
		s.Max = c.Limit.Max
	}
	return s, nil
}

// Reset makes an account begin anew.
func (e *Embedded) Reset(_ context.Context, c *budget.Claim) error {
	if n := e.accounts.Get(keys.Key(c.Key)); n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.renews = n.opened
		n.renew(e.now())
	}
	return nil
}

// Grant raises the limits of an account.
func (e *Embedded) Grant(_ context.Context, c *budget.Claim, more budget.Amounts) error {
	now := e.now()
	n := e.lock(c, now)
	defer n.mu.Unlock()
	n.touch(c.Limit, c.Ends, now)
	for m := range more {
		n.more[m] = min(budget.Most, n.more[m]+more[m])
	}
	n.told = n.low(c.Limit, now)
	return nil
}

// Sweep forgets accounts that have nothing to say any more.
func (e *Embedded) Sweep() {
	now := e.now()
	e.accounts.Sweep(func(n *account) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.renew(now)
		n.gone = n.opened.IsZero() && n.held == (budget.Amounts{})
		return n.gone
	})
}
