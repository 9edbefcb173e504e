package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/guard/budget"
)

const (
	remembered = time.Minute            // after which an account that nobody used is forgotten here
	sweepEvery = 5 * time.Second        // of accounts
	bringEvery = 250 * time.Millisecond // of what was used: each busy account costs Redis a script as often
)

// Run tells Redis what was used, keeps what is reserved, and gives back what
// is held in vain, until ctx ends. Then it gives back all that is left. The
// limiter must run longer.
func (b *Ledger) Run(ctx context.Context) {
	t := time.NewTicker(bringEvery)
	defer t.Stop()
	memory, away := "", false
	looked := -2 * beatEvery
	for swept := b.l.now(); ; {
		switch now := b.l.now(); {
		case b.l.open() != nil:
			away = true
		case away || now-looked > beatEvery:
			looked = now
			if m, ok := b.memory(ctx); ok {
				if away || memory != "" && m != memory {
					b.remind()
				}
				memory, away = m, false
			}
			fallthrough
		default:
			b.bring(ctx, false)
		}
		if now := b.l.now(); now-swept > sweepEvery {
			swept = now
			b.sweepAccounts()
		}
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*b.l.o.Timeout)
			if b.l.open() == nil {
				b.bring(end, true)
			}
			cancel()
			return
		case <-t.C:
		}
	}
}

// memory names what Redis remembers: it has another name when it has lost it.
func (b *Ledger) memory(ctx context.Context) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, b.l.o.Timeout)
	defer cancel()
	fresh := b.name + strconv.FormatInt(int64(b.l.now()), 36)
	switch m, err := b.l.client.SetArgs(ctx, b.l.o.Prefix+":budget:memory", fresh, redis.SetArgs{Mode: "NX", Get: true}).Result(); {
	case errors.Is(err, redis.Nil):
		return fresh, true
	case err != nil:
		b.l.failed(fmt.Errorf("redis: memory: %w", err))
		return "", false
	default:
		return m, true
	}
}

// remind has all accounts that this replica knows report, as Redis may have
// forgotten them.
func (b *Ledger) remind() {
	now := b.l.now()
	b.accounts.Sweep(func(n *account) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.known && n.since > 0 && n.after(now) > 0 {
			n.stale = true
			b.list(n)
		}
		return false
	})
}

// bring has the accounts report that have something to say; all gives back what
// they hold ahead at once.
func (b *Ledger) bring(ctx context.Context, all bool) {
	b.mu.Lock()
	listed := b.listed
	b.listed = nil
	b.mu.Unlock()
	now := b.l.now()
	var asks []report
	for _, n := range listed {
		n.mu.Lock()
		n.listed = false
		switch {
		case n.quiet() && !n.ahead() && !n.stale:
		case n.trip != nil: // it says all there is
			b.list(n)
		case n.due(now, all):
			if now-n.asked >= n.limit.Lease.Idle || all || n.limit.Exact {
				n.held, n.want = n.promised, n.want/2
			}
			n.trip = &trip{done: make(chan struct{})}
			asks = append(asks, b.report(n, nil, now))
		default:
			b.list(n)
		}
		n.mu.Unlock()
	}
	for len(asks) > 0 {
		k := min(len(asks), 200)
		b.bringSome(ctx, asks[:k])
		asks = asks[k:]
	}
}

func (b *Ledger) bringSome(ctx context.Context, asks []report) {
	ctx, cancel := context.WithTimeout(ctx, b.l.o.Timeout)
	defer cancel()
	sent := b.l.now()
	err := b.send(ctx, asks)
	now := b.l.now()
	for i := range asks {
		r := &asks[i]
		if r.err == nil {
			b.fill(r, sent, now)
		}
		n := r.account
		n.mu.Lock()
		t := n.trip
		n.trip, t.err = nil, err
		b.list(n)
		n.mu.Unlock()
		close(t.done)
	}
}

// ahead reports whether more is held than calls on their way need.
func (n *account) ahead() bool {
	for m, bound := range n.limit.Max {
		if bound > 0 && n.held[m] > n.promised[m] {
			return true
		}
	}
	return false
}

// due reports whether there is something that Redis has to know now: use,
// something held in vain, or that what is reserved is still needed.
func (n *account) due(now time.Duration, all bool) bool {
	return all || n.stale || n.spent != n.acked || n.ahead() && (n.limit.Exact || now-n.asked >= n.limit.Lease.Idle) || now > n.until-n.limit.Lease.Hold*2/3
}

// sweepAccounts forgets accounts that have nothing to say any more.
func (b *Ledger) sweepAccounts() {
	now := b.l.now()
	b.accounts.Sweep(func(n *account) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.gone = !n.listed && n.trip == nil && now-n.asked > remembered && n.promised == (budget.Amounts{}) && n.spent == n.acked
		return n.gone
	})
}
