package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/guard/budget"
)

var (
	//go:embed account.lua
	accountSource string
	//go:embed books.lua
	booksSource string

	accountScript = redis.NewScript(accountSource)
	booksScript   = redis.NewScript(booksSource)
)

// report is what one account has to say to Redis, and what it asks for.
type report struct {
	account *account
	key     string
	claim   *budget.Claim // that needs more; nil for none
	index   int
	spent   budget.Amounts // as told
	args    []any
	reply   []int64
	err     error
}

// questions makes reports for what claims lack. If one of the accounts is being
// asked about already, it returns that trip instead.
func (b *Ledger) questions(claims []budget.Claim) (*trip, []report) {
	t := &trip{done: make(chan struct{})}
	now := b.l.now()
	var asks []report
	for i := range claims {
		c := &claims[i]
		if c.Held {
			continue
		}
		n := b.account(c)
		if other := n.trip; other != nil {
			n.mu.Unlock()
			b.end(asks, nil) // whoever waits for us asks by himself
			return other, nil
		}
		n.trip = t
		asks = append(asks, b.report(n, c, now))
		asks[len(asks)-1].index = i
		n.mu.Unlock()
	}
	return nil, asks
}

// report writes down what an account has to say. The caller holds its lock.
func (b *Ledger) report(n *account, c *budget.Claim, now time.Duration) report {
	l := n.limit
	if now >= n.until { // what was held is somebody else's by now
		n.held = n.promised
	}
	if c != nil {
		n.want = n.wanted(l, now)
	}
	resting := 0
	if l.Resting {
		resting = 1
	}
	needs := 0
	if c != nil {
		needs = 1
	}
	r := report{account: n, key: b.accountKey(n.key), claim: c, spent: n.spent}
	since := n.since
	if n.after(now) <= 0 {
		since = 0 // it is over
	}
	r.args = make([]any, 0, 8+8*int(budget.Measures))
	r.args = append(r.args, b.name, l.Lease.Hold.Milliseconds(), max(1, life(l, n.ends).Milliseconds()), resting, l.Alert, l.Time.Milliseconds(), needs, since)
	for m, bound := range l.Max {
		var base, need, want, due int64
		if bound > 0 {
			base, due = max(n.held[m], n.promised[m]), n.promised[m]
			if c != nil {
				need = max(0, c.Amounts[m]-(base-n.promised[m]))
				want = c.Amounts[m] * int64(n.want-1)
				due += c.Amounts[m]
			}
		}
		r.args = append(r.args, bound, n.spent[m], n.acked[m], base, need, want, due, n.used[m])
	}
	return r
}

// wanted is how many calls' worth to ask for: twice as many as last time if those
// did not last.
func (n *account) wanted(l *budget.Limit, now time.Duration) uint32 {
	if l.Exact {
		return 1
	}
	want := max(n.want, 1)
	if now < n.until {
		want *= 2
	}
	return min(want, max(l.Lease.Calls, 1))
}

// end wakes those who wait for reports.
func (b *Ledger) end(asks []report, err error) {
	var t *trip
	for i := range asks {
		n := asks[i].account
		n.mu.Lock()
		t, n.trip = n.trip, nil
		n.mu.Unlock()
	}
	if t != nil {
		t.err = err
		close(t.done)
	}
}

// ask takes reports that need something to Redis in one trip. What is reserved
// when it fails or refuses, the caller gives back.
func (b *Ledger) ask(ctx context.Context, asks []report) (budget.Answer, error) {
	// Others wait for this answer, even if the call that asks is gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.l.o.Timeout)
	defer cancel()
	sent := b.l.now()
	err := b.send(ctx, asks)
	now := b.l.now()
	a := budget.Answer{Outcome: budget.Reserved}
	for i := range asks {
		r := &asks[i]
		if r.err != nil {
			continue
		}
		if no, ok := b.fill(r, sent, now); !ok {
			no.Claim = r.index
			a = no
		}
	}
	b.end(asks, err)
	return a, err
}

// send asks Redis in one trip. Accounts are independent of each other, so that
// they may lie on any nodes of a cluster.
func (b *Ledger) send(ctx context.Context, asks []report) error {
	calls := make([]call, len(asks))
	for i := range asks {
		calls[i] = call{keys: []string{asks[i].key}, args: asks[i].args}
	}
	b.tally.trips.Add(1)
	run(ctx, b.l.client, accountScript, calls)
	var failed error
	for i := range asks {
		r := &asks[i]
		if r.reply, r.err = numbers(calls[i].out, 6+4*int(budget.Measures)); r.err != nil {
			r.err = fmt.Errorf("redis: account: %w", r.err)
			failed = r.err
		}
	}
	if failed != nil {
		b.tally.failures.Add(1)
		b.l.failed(failed)
		return failed
	}
	b.l.succeeded()
	return nil
}

// fill takes in what Redis said of an account, and promises the claim what it
// needs. It reports false when there is too little.
func (b *Ledger) fill(r *report, sent, now time.Duration) (no budget.Answer, ok bool) {
	n := r.account
	n.mu.Lock()
	defer n.mu.Unlock()
	out := r.reply
	granted, tell := out[0], out[1]
	n.known, n.stale, n.acked = true, false, r.spent
	n.low, n.crossed = tell > 0, n.crossed || tell == 2
	n.opened, n.over = now-time.Duration(out[2])*time.Millisecond, out[4]
	n.since = out[5]
	n.renews = sent + time.Duration(out[3])*time.Millisecond
	n.until = sent + n.limit.Lease.Hold
	if n.limit.Life > 0 && out[3] > 0 {
		n.until = min(n.until, n.renews)
	}
	for m := range n.held {
		reply := out[6+4*m : 10+4*m]
		n.held[m] = reply[0] - (n.spent[m] - r.spent[m])
		n.used[m], n.max[m], n.others[m] = reply[1], reply[2], reply[3]
		n.unshared[m] = 0
	}
	b.list(n)
	switch c := r.claim; {
	case c == nil:
	case granted == 0:
		n.hush = 0
		n.promise(c)
	default:
		no = budget.Answer{Outcome: budget.Exhausted, Measure: budget.Measure(granted - 1), After: n.after(now)}
		if m := no.Measure; m < budget.Measures {
			no.Left = max(0, n.max[m]-n.used[m]-n.others[m]-n.promised[m])
		}
		n.no, n.hush = no, now+hushed
		if no.After > 0 {
			n.hush = min(n.hush, now+no.After)
		}
		return no, false
	}
	return no, true
}

// Read returns an account as all replicas see it.
func (b *Ledger) Read(ctx context.Context, c *budget.Claim) (budget.State, error) {
	ctx, cancel := context.WithTimeout(ctx, b.l.o.Timeout)
	defer cancel()
	n := &account{limit: c.Limit, key: c.Key, ends: c.Ends}
	asks := []report{b.report(n, nil, 0)}
	asks[0].args[0] = "reader"
	if err := b.send(ctx, asks); err != nil {
		return budget.State{}, err
	}
	now := b.l.now()
	b.read(n, asks[0].reply, now)
	return n.state(now), nil
}

// read is fill for an account that nobody charges.
func (b *Ledger) read(n *account, out []int64, now time.Duration) {
	n.known, n.low, n.over = true, out[1] > 0, out[4]
	n.opened = now - time.Duration(out[2])*time.Millisecond
	n.renews = now + time.Duration(out[3])*time.Millisecond
	for m := range n.used {
		reply := out[6+4*m : 10+4*m]
		n.used[m], n.max[m], n.others[m] = reply[1], reply[2], reply[3]
	}
}

// Reset makes an account begin anew.
func (b *Ledger) Reset(ctx context.Context, c *budget.Claim) error {
	return b.change(ctx, c, "reset", budget.Amounts{})
}

// Grant raises the limits of an account.
func (b *Ledger) Grant(ctx context.Context, c *budget.Claim, more budget.Amounts) error {
	return b.change(ctx, c, "grant", more)
}

func (b *Ledger) change(ctx context.Context, c *budget.Claim, what string, more budget.Amounts) error {
	if why := b.l.open(); why != nil {
		return fmt.Errorf("redis: %s: %w", what, why)
	}
	ctx, cancel := context.WithTimeout(ctx, b.l.o.Timeout)
	defer cancel()
	args := []any{what, max(1, life(c.Limit, c.Ends).Milliseconds())}
	for _, n := range more {
		args = append(args, n)
	}
	calls := []call{{keys: []string{b.accountKey(c.Key)}, args: args}}
	run(ctx, b.l.client, booksScript, calls)
	if err := calls[0].out.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redis: %s: %w", what, err)
	}
	return nil
}
