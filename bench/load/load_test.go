package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake is a server in memory. While it is stalled, calls wait.
type fake struct {
	gate  sync.RWMutex
	calls atomic.Int64
	fail  func(n int64) error
}

func (f *fake) dial(ctx context.Context, _ int) (Caller, error) { return &fakeCaller{f, ctx}, nil }

type fakeCaller struct {
	*fake
	ctx context.Context
}

func (c *fakeCaller) Call() error {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	time.Sleep(10 * time.Microsecond)
	if n := c.calls.Add(1); c.fail != nil {
		return c.fail(n)
	}
	return nil
}

func (c *fakeCaller) Close() {}

// A server that stalls once for most of the run delays, in an open loop, every
// call that was due meanwhile; a closed loop sees one slow call per connection.
func TestAStalledServerShowsInTheLatenciesOfAllCallsThatWereDue(t *testing.T) {
	slow := func(rate float64) (slow, all int64) {
		f := &fake{}
		const stall = 200 * time.Millisecond
		r, err := Run(context.Background(), Plan{Connections: 2, Rate: rate, Duration: 2 * stall, Grace: 10 * time.Second, Begin: func() {
			f.gate.Lock()
			time.AfterFunc(stall, f.gate.Unlock)
		}}, f.dial)
		if err != nil || r.Failed() != 0 {
			t.Fatalf("%v %+v", err, r)
		}
		for _, b := range r.Latency.Distribution() {
			if b.From >= int64(stall)/10 {
				slow += b.Count
			}
		}
		return slow, r.Latency.TotalCount()
	}
	const rate = 500
	late, all := slow(rate)
	if all < 150 || late < all/4 { // 200 calls are due, 100 of them in the stall, 90 of them wait for 20 ms or more
		t.Errorf("open loop: %d of %d calls were slow", late, all)
	}
	if late, _ := slow(0); late > 4 { // closed loop: one per connection, and one each that may have been late
		t.Logf("closed loop: %d calls were slow", late)
	}
}

func TestTheOpenLoopMakesEveryCallThatIsDue(t *testing.T) {
	f := &fake{}
	r, err := Run(context.Background(), Plan{Connections: 4, Rate: 1000, Warmup: 50 * time.Millisecond, Duration: 100 * time.Millisecond, Grace: 10 * time.Second}, f.dial)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.calls.Load(); n != 150 {
		t.Errorf("%d calls were made", n)
	}
	if n := r.Latency.TotalCount(); n != 100 || r.Lag.TotalCount() != n {
		t.Errorf("%d calls were counted", n)
	}
}

func TestCallsThatNobodyAnswersAreCountedAndTheRunEnds(t *testing.T) {
	never := func(ctx context.Context, _ int) (Caller, error) { return hanging{ctx}, nil }
	r, err := Run(context.Background(), Plan{Connections: 3, Rate: 1000, Duration: 20 * time.Millisecond, Grace: 500 * time.Millisecond}, never)
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors[Unfinished] != 3 || r.Errors[NotSent] != 17 || r.Latency.TotalCount() != 0 {
		t.Errorf("%v", r.Errors)
	}
}

type hanging struct{ ctx context.Context }

func (h hanging) Call() error { <-h.ctx.Done(); return h.ctx.Err() }
func (h hanging) Close()      {}

func TestErrorsAreCountedByKindAndLostCallersReplaced(t *testing.T) {
	gone, refused := errors.New("gone"), errors.New("refused")
	f := &fake{fail: func(n int64) error {
		switch n % 4 {
		case 1:
			return gone
		case 2:
			return refused
		}
		return nil
	}}
	var dials atomic.Int64
	r, err := Run(context.Background(), Plan{
		Connections: 1, Rate: 1000, Duration: 40 * time.Millisecond, Grace: 10 * time.Second,
		Kind: error.Error, Lost: func(err error) bool { return errors.Is(err, gone) },
	}, func(ctx context.Context, i int) (Caller, error) {
		dials.Add(1)
		return f.dial(ctx, i)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors["gone"] != 10 || r.Errors["refused"] != 10 || r.Latency.TotalCount() != 20 || dials.Load() != 11 || r.First == nil {
		t.Errorf("%v, %d dials", r.Errors, dials.Load())
	}
}

func TestARunThatCannotBeginSaysWhy(t *testing.T) {
	broken := errors.New("no route")
	_, err := Run(context.Background(), Plan{Connections: 2, Duration: time.Second}, func(context.Context, int) (Caller, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := Run(context.Background(), Plan{}, nil); err == nil {
		t.Error("a plan without connections ran")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Plan{Connections: 1, Duration: time.Hour}, (&fake{}).dial); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
