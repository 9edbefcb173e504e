// Package audit keeps a receipt of every decision.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// WhenFull says what happens to traffic when receipts cannot be written as
// fast as decisions are made.
type WhenFull string

// The rules.
const (
	Block        WhenFull = "block"          // wait, and refuse when the caller's patience ends
	DropAndCount WhenFull = "drop_and_count" // go on without, and say so in metrics and log
)

// blockLimit is how long Block waits before the message is refused.
const blockLimit = time.Second

// retry is how often a writer that fails is tried when there is nothing else to
// write.
const retry = 250 * time.Millisecond

var errFull = errors.New("audit: the receipt queue is full")

// Receipts writes one JSON line per decision, plain. Observe only encodes and
// enqueues; one goroutine writes.
type Receipts struct {
	encoder
	queue   chan []byte
	rule    WhenFull
	log     *slog.Logger
	pool    sync.Pool
	written atomic.Uint64
	dropped atomic.Uint64
	failed  atomic.Uint64
	broken  atomic.Bool
	done    chan struct{}
	quit    chan struct{}
}

// New returns receipts that go to w, with a queue of n lines. Close ends them.
func New(w io.Writer, n int, rule WhenFull, log *slog.Logger) *Receipts {
	r := &Receipts{encoder: encoder{Form{}.keyed()}, queue: make(chan []byte, n), rule: rule, log: log, done: make(chan struct{}), quit: make(chan struct{})}
	r.pool.New = func() any { b := make([]byte, 0, 1024); return &b }
	go r.run(w)
	return r
}

// Counts returns how many receipts were written, dropped because the queue was
// full, and lost because writing failed.
func (r *Receipts) Counts() (written, dropped, failed uint64) {
	return r.written.Load(), r.dropped.Load(), r.failed.Load()
}

// Under returns the observer for decisions of one configuration, whose receipts
// have this form.
func (r *Receipts) Under(f Form) guard.Observer { return &under[*Receipts]{r, encoder{f.keyed()}} }

// Observe enqueues the receipt of one decision.
func (r *Receipts) Observe(ctx context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	return r.observe(ctx, &r.encoder, x, m, d)
}

func (r *Receipts) observe(ctx context.Context, e *encoder, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	rule := e.rule(r.rule)
	if rule == Block && r.broken.Load() {
		r.dropped.Add(1)
		return errors.New("audit: receipts cannot be written")
	}
	buf := r.pool.Get().(*[]byte)
	line, err := e.members(ctx, append((*buf)[:0], `{"v":1,`...), x, m, d)
	return r.put(ctx, rule, line, err)
}

// Ended keeps the closing receipt of an exchange that is due one.
func (r *Receipts) Ended(ctx context.Context, x *guard.Exchange, o *guard.Outcome) {
	if end, due := EndOf(x, o); due {
		r.closed(ctx, &r.encoder, x, o, end)
	}
}

// closed takes the receipt of an end also while nothing can be written: there is no
// traffic to refuse any more.
func (r *Receipts) closed(ctx context.Context, e *encoder, x *guard.Exchange, o *guard.Outcome, end End) {
	buf := r.pool.Get().(*[]byte)
	line, err := e.closing(ctx, append((*buf)[:0], `{"v":1,`...), x, o, end)
	if err = r.put(ctx, e.rule(r.rule), line, err); err != nil {
		r.log.WarnContext(ctx, "a closing receipt is lost", "err", err, "exchange", x.ID)
	}
}

// put queues a line that has no end yet, unless it could not be made.
func (r *Receipts) put(ctx context.Context, rule WhenFull, line []byte, err error) error {
	if err != nil {
		r.dropped.Add(1)
		if rule == DropAndCount {
			return nil
		}
		return err
	}
	line = append(line, "}\n"...)
	select {
	case r.queue <- line:
		return nil
	default:
	}
	if rule == DropAndCount {
		r.dropped.Add(1)
		r.recycle(line)
		return nil
	}
	t := time.NewTimer(blockLimit)
	defer t.Stop()
	select {
	case r.queue <- line:
		return nil
	case <-ctx.Done():
	case <-t.C:
	}
	r.dropped.Add(1)
	r.recycle(line)
	return errFull
}

func (r *Receipts) recycle(line []byte) {
	if cap(line) <= 1<<16 {
		r.pool.Put(&line)
	}
}

// maxBatch is how many bytes go out in one write, more or less.
const maxBatch = 1 << 16

// run writes what is queued, as much as there is at a time.
func (r *Receipts) run(w io.Writer) {
	defer close(r.done)
	out := &batch{w: w}
	for {
		var again <-chan time.Time
		if r.broken.Load() {
			again = time.After(retry) // under Block nothing else would find out that writing works again
		}
		select {
		case line := <-r.queue:
			r.take(out, line)
			r.linger()
		case <-again:
		case <-r.quit:
			for r.gather(out) {
				r.note(out)
			}
			r.note(out)
			return
		}
		r.gather(out)
		r.note(out)
	}
}

// lingering is how long a receipt may wait for others to be written with it.
const lingering = time.Millisecond

// linger lets receipts come together, since a write for each would cost more
// than making it did. With little room in the queue nothing waits.
func (r *Receipts) linger() {
	if room := cap(r.queue) - len(r.queue); room >= 1024 {
		time.Sleep(lingering)
	}
}

// gather takes what is queued, and reports whether it stopped before the end
// because the batch is full.
func (r *Receipts) gather(out *batch) (full bool) {
	for out.size() < maxBatch {
		select {
		case line := <-r.queue:
			r.take(out, line)
		default:
			return false
		}
	}
	return true
}

func (r *Receipts) take(out *batch, line []byte) {
	out.add(line)
	r.recycle(line)
}

// note writes the batch and says so when that begins or ceases to fail.
func (r *Receipts) note(out *batch) {
	written, lost, err := out.flush(time.Now())
	r.written.Add(written)
	r.failed.Add(lost)
	switch {
	case err != nil:
		if !r.broken.Swap(true) {
			r.log.Error("receipts cannot be written", "err", err, "when_full", string(r.rule))
		}
	case r.broken.Swap(false):
		r.log.Info("receipts are written again")
	}
}

// Close writes what is queued and ends the writer. Observe must not be called
// any more.
func (r *Receipts) Close(ctx context.Context) error {
	close(r.quit)
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("audit: close: %w", ctx.Err())
	}
}
