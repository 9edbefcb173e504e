// Package load makes calls in a closed or an open loop and counts what comes
// back.
//
// Closed loop: each connection makes the next call when the last one is
// answered. It finds out how much a set-up can do; its latencies are those of a
// client that waits its turn.
//
// Open loop: calls are due at a fixed rate, whether earlier ones are answered or
// not, and a latency counts from when its call was due. A server that stalls for
// a second is seen by every call that was due in that second, not only by those
// that happened to be on their way (coordinated omission).
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Caller makes one call at a time.
type Caller interface {
	Call() error
	Close()
}

// Dial makes the caller of one connection, numbered from 0.
type Dial func(ctx context.Context, connection int) (Caller, error)

// Plan is one run.
type Plan struct {
	Connections int
	Rate        float64       // calls per second of the open loop; 0 means closed loop
	Warmup      time.Duration // calls that are due before its end are made but not counted
	Duration    time.Duration // measured after the warm-up
	// Grace is how long calls may be outstanding after the end. What is not
	// answered then counts as the error "unfinished".
	Grace time.Duration
	// Begin and End are called at the edges of the measured time. May be nil.
	Begin, End func()
	// Kind names an error for counting.
	Kind func(error) string
	// Lost reports whether a caller is of no use after an error.
	Lost func(error) bool
}

// Result is what was measured.
type Result struct {
	Elapsed   time.Duration // between Begin and End
	Completed int64         // good calls answered between Begin and End
	Latency   *hdrhistogram.Histogram
	// Lag is, in the open loop, how late calls were sent: waiting for a free
	// connection, or the generator's own slowness.
	Lag    *hdrhistogram.Histogram
	Errors map[string]int64
	First  error // an example of the errors
}

// Rate returns the good calls per second.
func (r *Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Completed) / r.Elapsed.Seconds()
}

// Failed returns the number of errors.
func (r *Result) Failed() int64 {
	var n int64
	for _, k := range r.Errors {
		n += k
	}
	return n
}

// Errors that every Run counts under these names.
const (
	Unfinished = "unfinished" // not answered by the end of the grace time
	NotSent    = "not_sent"   // due, but no connection was free until then
)

// Run makes calls as planned. It returns within warm-up, duration and grace
// after the connections are made. The error tells why nothing was measured: a
// connection that could not be made, or the end of ctx.
func Run(ctx context.Context, p Plan, dial Dial) (*Result, error) {
	if p.Connections <= 0 || p.Duration <= 0 || p.Warmup < 0 || p.Rate < 0 {
		return nil, errors.New("load: connections and duration must be positive, warm-up and rate must not be negative")
	}
	if n := p.Rate * (p.Warmup + p.Duration).Seconds(); n > maxScheduled {
		return nil, fmt.Errorf("load: %.0f calls are more than one open loop can make: %d", n, maxScheduled)
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{Plan: p, ctx: work, dial: dial, out: newRecorder()}
	callers, err := r.connect()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	r.from = begin.Add(p.Warmup)
	r.to = r.from.Add(p.Duration)
	if p.Rate > 0 {
		r.due = make(chan time.Time, schedule(p))
		go r.pace(begin)
	}
	var wg sync.WaitGroup
	for i, c := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r.work(i, c)
		}()
	}
	hard := time.AfterFunc(time.Until(r.to.Add(p.Grace)), cancel)
	defer hard.Stop()
	r.measure()
	wg.Wait()
	if r.due != nil {
		for due := range r.due { // closed by pace
			if !due.Before(r.from) {
				r.out.fail(NotSent, nil)
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return r.out.result(r.elapsed, r.completed.Load()), nil
}

// run is the state of one Run.
type run struct {
	Plan
	ctx       context.Context
	dial      Dial
	from, to  time.Time
	due       chan time.Time // of the open loop: when calls are due
	out       *recorder
	completed atomic.Int64
	elapsed   time.Duration
}

// connect makes all connections before the clock starts, a few at a time.
func (r *run) connect() ([]Caller, error) {
	callers := make([]Caller, r.Connections)
	errs := make([]error, r.Connections)
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			callers[i], errs[i] = r.dial(r.ctx, i)
		}()
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			for _, c := range callers {
				if c != nil {
					c.Close()
				}
			}
			return nil, fmt.Errorf("load: connection %d: %w", i, err)
		}
	}
	return callers, nil
}

// measure calls Begin and End on time.
func (r *run) measure() {
	r.sleepUntil(r.from)
	if r.Begin != nil {
		r.Begin()
	}
	start := time.Now()
	r.sleepUntil(r.to)
	r.elapsed = time.Since(start)
	if r.End != nil {
		r.End()
	}
}

func (r *run) sleepUntil(t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
}
