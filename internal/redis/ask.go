package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	own "github.com/sallyport/sallyport/internal/quota"
)

// question is one counter that Redis is asked about.
type question struct {
	charge *quota.Charge
	index  int
	lease  *lease // nil when there is none
	trip   *trip  // that others wait for; nil for exact limits, of which each call asks
	want   uint32
	grant  grant
	err    error
}

// claim makes the questions for what charges lack. If somebody is asking about
// one of the counters already, it returns that trip instead.
func (l *Limiter) claim(charges []quota.Charge) (*trip, []question) {
	t := &trip{done: make(chan struct{})}
	now := l.now()
	var asks []question
	for i := range charges {
		c := &charges[i]
		if c.Held != quota.Nowhere || c.Limit.Kind == quota.InFlight {
			continue
		}
		q := question{charge: c, index: i, want: 1}
		if n := l.lock(c); n != nil {
			q.lease = n
			q.want = n.wanted(c.Limit, now)
			if !c.Limit.Exact {
				if other := n.trip; other != nil {
					n.mu.Unlock()
					l.end(asks, nil) // whoever waits for us asks by himself
					return other, nil
				}
				n.trip, q.trip = t, t
			}
			n.mu.Unlock()
		}
		asks = append(asks, q)
	}
	return nil, asks
}

// end wakes those who wait for questions.
func (l *Limiter) end(asks []question, err error) {
	var t *trip
	for i := range asks {
		if q := &asks[i]; q.trip != nil {
			t = q.trip
			q.lease.mu.Lock()
			q.lease.trip = nil
			q.lease.mu.Unlock()
		}
	}
	if t != nil {
		t.err = err
		close(t.done)
	}
}

// ask takes questions to Redis in one trip. If all counters have room, the
// charges are held and refused is -1. Otherwise it returns the index of the charge
// for which there is none, or what went wrong; what is held by then the caller
// returns.
func (l *Limiter) ask(ctx context.Context, asks []question) (refused int, wait time.Duration, err error) {
	// Others wait for this answer, even if the call that asks is gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.o.Timeout)
	defer cancel()
	refused = -1
	sent := l.now()
	l.send(ctx, asks)
	now := l.now()
	lacking := false
	for i := range asks {
		q := &asks[i]
		switch {
		case q.err != nil:
			err = q.err
			continue
		case q.grant.calls > 0:
			q.charge.Held, q.charge.Stamp = quota.Shared, q.grant.stamp
			q.charge.Left, q.charge.Tight, q.charge.Known, q.charge.Lent = q.grant.calls-1+q.grant.left, q.grant.tight, true, q.grant.lent
		case q.grant.full > 0:
			refused, wait = q.index, max(wait, q.grant.full)
		default:
			lacking = true
		}
		l.fill(q, sent, now)
	}
	if lacking && refused < 0 && err == nil {
		err = errors.New("redis: take: the reply neither grants nor refuses")
	}
	l.end(asks, err)
	return refused, wait, err
}

// fill puts what a counter was granted into its lease.
func (l *Limiter) fill(q *question, sent, now time.Duration) {
	c := q.charge
	stale, stamp := q.grant.calls, q.grant.stamp
	if stale > 0 {
		stale-- // the call that asked
	}
	if n := q.lease; n != nil {
		n.mu.Lock()
		switch {
		case n.gone:
		case q.grant.calls == 0 && q.grant.full == 0: // not taken, for want of room in another counter
			stale = 0
		default:
			stale, stamp = n.fill(q.grant, c.Limit, sent, now)
		}
		n.mu.Unlock()
	}
	if stale > 0 {
		l.giveBack(c.Limit, c.Key, c.Group, stamp, stale)
	}
}

// send asks Redis, once per group, in one trip.
func (l *Limiter) send(ctx context.Context, asks []question) {
	var calls []call
	var members [][]*question
	for i := range asks {
		q := &asks[i]
		at := -1
		for j := range members {
			if members[j][0].charge.Group == q.charge.Group {
				at = j
			}
		}
		if at < 0 {
			at, calls, members = len(calls), append(calls, call{}), append(members, nil)
		}
		members[at] = append(members[at], q)
		calls[at].keys = append(calls[at].keys, l.key(q.charge.Group, q.charge.Key))
		calls[at].args = append(calls[at].args, q.want, len(q.charge.Limit.Windows))
		for j := range q.charge.Limit.Windows {
			w := &q.charge.Limit.Windows[j]
			calls[at].args = append(calls[at].args, w.Count, w.Most(q.charge.Lend)-w.Count, sliceMillis(w.Per))
		}
	}
	l.counts.trips.Add(1)
	run(ctx, l.client, takeScript, calls)
	var failed error
	for i := range calls {
		out, err := numbers(calls[i].out, 1+5*len(members[i]))
		for j, q := range members[i] {
			if err != nil {
				failed = fmt.Errorf("redis: take: %w", err)
				q.err = failed
				continue
			}
			of := out[1+5*j:]
			q.grant = grant{calls: uint32(of[0]), stamp: out[0], left: uint32(of[1]), full: time.Duration(of[2]) * time.Millisecond, tight: uint8(of[3]), lent: of[4] != 0, all: q.charge.Lend}
		}
	}
	if failed != nil {
		l.counts.failures.Add(1)
		l.failed(failed)
		return
	}
	l.succeeded()
}

func sliceMillis(per time.Duration) int64 { return max(1, per.Milliseconds()/own.Slices) }

// key names a counter. Counters of one group have one hash tag, so that a
// cluster keeps them together.
func (l *Limiter) key(group uint64, k quota.Key) string {
	return fmt.Sprintf("%s:quota:{%016x}:%s", l.o.Prefix, group, hex.EncodeToString(k[:]))
}
