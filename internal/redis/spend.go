package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// Spend charges more to counters: first what leases hold of them, and the rest
// with the next tick.
func (l *Limiter) Spend(charges []quota.Charge, units uint32) {
	now := l.now()
	for i := range charges {
		c := &charges[i]
		switch {
		case c.Limit.Kind == quota.InFlight:
		case c.Held == quota.Own:
			l.local.Spend(charges[i:i+1], units)
		case c.Held == quota.Shared:
			rest := units
			if n := l.leases.Get(c.Key); n != nil {
				rest = n.spend(units, now)
			}
			if rest > 0 {
				l.owe(c, rest)
			}
		}
	}
}

// spend takes from the lease what it has, and returns what is missing. Who comes
// next has to ask.
func (n *lease) spend(units uint32, now time.Duration) (rest uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left -= min(n.left, units)
	if n.gone || now >= n.until {
		return units
	}
	have := min(n.calls, units)
	n.calls -= have
	return units - have
}

// debt is what was used of one counter and is not charged yet.
type debt struct {
	limit *quota.Limit
	group uint64
	units uint64
}

// maxDebts bounds the counters that wait to be charged.
const maxDebts = 10_000

func (l *Limiter) owe(c *quota.Charge, units uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.debts[c.Key]
	if !ok && len(l.debts) >= maxDebts {
		l.counts.lost.Add(uint64(units))
		return
	}
	l.debts[c.Key] = debt{c.Limit, c.Group, d.units + uint64(units)}
}

// pay charges what is owed.
func (l *Limiter) pay(ctx context.Context) {
	l.mu.Lock()
	debts := l.debts
	if len(debts) > 0 {
		l.debts = make(map[quota.Key]debt)
	}
	l.mu.Unlock()
	calls := make([]call, 0, min(len(debts), 200))
	for k, d := range debts {
		args := []any{d.units, len(d.limit.Windows)}
		for _, w := range d.limit.Windows {
			args = append(args, sliceMillis(w.Per))
		}
		calls = append(calls, call{keys: []string{l.key(d.group, k)}, args: args})
		if len(calls) == cap(calls) {
			l.charge(ctx, calls)
			calls = calls[:0]
		}
	}
	if len(calls) > 0 {
		l.charge(ctx, calls)
	}
}

func (l *Limiter) charge(ctx context.Context, calls []call) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	l.counts.trips.Add(1)
	run(ctx, l.client, spendScript, calls)
	for i := range calls {
		if err := calls[i].out.Err(); err != nil {
			l.counts.lost.Add(calls[i].args[0].(uint64))
			l.failed(fmt.Errorf("redis: spend: %w", err))
		}
	}
}
