package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// giveBack is calls of one counter that were charged and not made.
type giveBack struct {
	limit *quota.Limit
	key   quota.Key
	group uint64
	stamp int64
	calls uint32
}

// maxGiveBack bounds what waits to be sent. What is lost comes free with its
// window.
const maxGiveBack = 10_000

func (l *Limiter) giveBack(limit *quota.Limit, k quota.Key, group uint64, stamp int64, calls uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.back {
		if b := &l.back[i]; i < 16 && b.key == k && b.stamp == stamp {
			b.calls += calls
			return
		}
	}
	if len(l.back) >= maxGiveBack {
		l.counts.lost.Add(uint64(calls))
		return
	}
	l.back = append(l.back, giveBack{limit, k, group, stamp, calls})
}

const (
	tick      = 100 * time.Millisecond
	beatEvery = 2 * time.Second
	forgetful = 10 * time.Second // after which a replica, or a lease that nobody used, is forgotten
	slowest   = 2 * time.Second  // pause between probes
)

// Run gives back what was not used, counts the replicas, and looks whether Redis
// is back, until ctx ends. Then it gives back all that is left.
func (l *Limiter) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	var beat time.Duration // when the next one is due
	pause := tick
	for wasOpen := false; ; {
		now, open := l.now(), l.open() != nil
		switch {
		case !open:
			l.sweep(false)
			l.renew(ctx, false)
			l.flush(ctx)
			l.pay(ctx)
			pause = tick
		case !wasOpen:
			beat = now + pause/2 + rand.N(pause) //nolint:gosec // spreads the load, hides nothing
		}
		wasOpen = open
		if now >= beat {
			beat = now + beatEvery
			if err := l.beat(ctx); err != nil && ctx.Err() == nil {
				// Pauses grow and differ, so that replicas do not come back all at once.
				pause = min(pause*2, slowest)
				beat = now + pause/2 + rand.N(pause) //nolint:gosec // spreads the load, hides nothing
			}
		}
		if l.pause(ctx, t.C) {
			l.close(context.WithoutCancel(ctx))
			return
		}
	}
}

// pause waits for the next tick, and meanwhile gives back places that somebody
// may wait for. It reports whether ctx has ended.
func (l *Limiter) pause(ctx context.Context, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return true
		case <-tick:
			return false
		case <-l.kick:
			if l.open() == nil {
				l.renew(ctx, false)
			}
		}
	}
}

// beat tells the others that this replica lives, and learns how many do. It is
// the probe that closes the breaker.
func (l *Limiter) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	calls := []call{{keys: []string{l.replicaKey()}, args: []any{l.name, forgetful.Milliseconds()}}}
	run(ctx, l.client, beatScript, calls)
	n, err := calls[0].out.Int()
	if err != nil {
		l.failed(fmt.Errorf("redis: beat: %w", err))
		return err
	}
	l.replicas.Store(uint32(max(1, n)))
	l.breaker.close()
	return nil
}

func (l *Limiter) replicaKey() string { return l.o.Prefix + ":replicas" }

// sweep takes back leases that have run out, or all of them.
func (l *Limiter) sweep(all bool) {
	now := l.now()
	l.local.Sweep()
	l.leases.Sweep(func(n *lease) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.calls > 0 && (all || now >= n.until) {
			l.giveBack(n.limit, n.key, n.group, n.stamp, n.calls)
			n.calls, n.want = 0, n.want/2
		}
		n.gone = n.trip == nil && (all || now-n.used > forgetful && now >= n.hush)
		return n.gone
	})
}

// flush sends what is to be given back.
func (l *Limiter) flush(ctx context.Context) {
	l.mu.Lock()
	back := l.back
	l.back = nil
	l.mu.Unlock()
	for len(back) > 0 {
		n := min(len(back), 200)
		l.sendBack(ctx, back[:n])
		back = back[n:]
	}
}

func (l *Limiter) sendBack(ctx context.Context, back []giveBack) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	calls := make([]call, len(back))
	for i, b := range back {
		args := []any{b.calls, b.stamp, len(b.limit.Windows)}
		for _, w := range b.limit.Windows {
			args = append(args, sliceMillis(w.Per))
		}
		calls[i] = call{keys: []string{l.key(b.group, b.key)}, args: args}
	}
	l.counts.trips.Add(1)
	run(ctx, l.client, giveBackScript, calls)
	for i := range calls {
		if err := calls[i].out.Err(); err != nil {
			l.counts.lost.Add(uint64(back[i].calls))
			l.failed(fmt.Errorf("redis: give back: %w", err))
			return
		}
	}
}

// close gives everything back and leaves.
func (l *Limiter) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*l.o.Timeout)
	defer cancel()
	if l.open() == nil {
		l.sweep(true)
		l.renew(ctx, true)
		l.flush(ctx)
		l.pay(ctx)
		_ = l.client.ZRem(ctx, l.replicaKey(), l.name).Err() // it is forgotten by itself as well
	}
	_ = l.client.Close()
}
