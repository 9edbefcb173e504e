package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/mcp"
)

// Kept keeps receipts in a ledger, where nobody can change them unseen. What
// Observe has taken is in the ledger's spool and outlives the process.
type Kept struct {
	ledger  *ledger.Ledger
	spool   *ledger.Spool
	rule    WhenFull
	log     *slog.Logger
	pool    sync.Pool
	before  uint64 // receipts in the ledger when it was opened
	written atomic.Uint64
	dropped atomic.Uint64
	broken  atomic.Bool
	why     atomic.Value // string, while broken
	private atomic.Value // string: why checkpoints are not published; empty while they are
	quit    chan struct{}
	done    chan struct{}
	end     error // of the writer, once done
}

// Keep opens a ledger and begins to write it. Close ends that.
func Keep(o ledger.Options, rule WhenFull) (*Kept, error) {
	l, err := ledger.Open(o)
	if err != nil {
		return nil, err
	}
	k := &Kept{ledger: l, spool: l.Spool(), before: l.Seq(), rule: rule, log: o.Log, quit: make(chan struct{}), done: make(chan struct{})}
	k.pool.New = func() any { b := make([]byte, 0, 1024); return &b }
	go func() {
		defer close(k.done)
		k.end = l.Run(k.quit, (*monitor)(k))
	}()
	return k, nil
}

// Under returns the observer for decisions of one configuration, whose receipts
// have this form.
func (k *Kept) Under(f Form) guard.Observer { return &under[*Kept]{k, encoder{f.keyed()}} }

func (k *Kept) observe(ctx context.Context, e *encoder, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	rule := e.rule(k.rule)
	if rule == Block && k.broken.Load() {
		k.lose()
		return errors.New("audit: receipts cannot be written")
	}
	buf := k.pool.Get().(*[]byte)
	var err error
	*buf, err = e.members(ctx, (*buf)[:0], x, m, d)
	return k.put(ctx, rule, buf, err)
}

// closed takes the receipt of an end whatever the rule and the disk: there is no
// traffic to refuse any more, and the spool may have room.
func (k *Kept) closed(ctx context.Context, e *encoder, x *guard.Exchange, o *guard.Outcome, end End) {
	buf := k.pool.Get().(*[]byte)
	var err error
	*buf, err = e.closing(ctx, (*buf)[:0], x, o, end)
	if err = k.put(ctx, e.rule(k.rule), buf, err); err != nil {
		k.log.WarnContext(ctx, "a closing receipt is lost", "err", err, "exchange", x.ID)
	}
}

// put takes what buf holds, unless it could not be written there.
func (k *Kept) put(ctx context.Context, rule WhenFull, buf *[]byte, err error) error {
	if err == nil {
		err = k.spool.Put(*buf)
	}
	if errors.Is(err, ledger.ErrFull) && rule == Block {
		err = k.wait(ctx, *buf)
	}
	if cap(*buf) <= 1<<16 {
		k.pool.Put(buf)
	}
	if err == nil {
		return nil
	}
	k.lose()
	if rule == DropAndCount {
		return nil
	}
	return err
}

// lose counts a receipt that is not kept.
func (k *Kept) lose() {
	k.spool.Lose()
	k.dropped.Add(1)
}

// wait tries until there is room or patience ends. Room is looked for rather
// than told of: whoever waits here is slow already, and nobody else should pay.
func (k *Kept) wait(ctx context.Context, receipt []byte) error {
	limit := time.NewTimer(blockLimit)
	defer limit.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if err := k.spool.Put(receipt); !errors.Is(err, ledger.ErrFull) {
				return err
			}
		case <-ctx.Done():
			return errFull
		case <-limit.C:
			return errFull
		}
	}
}

// Counts returns how many receipts were written and dropped since the start.
// None fail: what cannot be written waits in the spool.
func (k *Kept) Counts() (written, dropped, failed uint64) {
	return k.written.Load(), k.dropped.Load(), 0
}

// Head returns the number of the last receipt that is written.
func (k *Kept) Head() uint64 { return k.before + k.written.Load() }

// Segment returns the number of the segment that is written.
func (k *Kept) Segment() uint64 { return k.ledger.Segment() }

// Deliveries returns what the log knew of sinks when it was opened.
func (k *Kept) Deliveries() ledger.Deliveries { return k.ledger.Deliveries() }

// Turn has a new segment begun soon, whose first line names the sinks that there are now.
func (k *Kept) Turn() { k.ledger.Turn() }

// Trouble returns why receipts are not kept at the moment, or nil.
func (k *Kept) Trouble() error {
	if k.broken.Load() {
		why, _ := k.why.Load().(string)
		return errors.New("audit: receipts cannot be written: " + why)
	}
	if k.spool.Full() {
		return errFull
	}
	return nil
}

// Unpublished returns why checkpoints are not copied to their second place, or nil.
func (k *Kept) Unpublished() error {
	if why, _ := k.private.Load().(string); why != "" {
		return errors.New("audit: checkpoints cannot be published: " + why)
	}
	return nil
}

// Close writes what is in the spool and ends the writer. Observe must not be
// called any more.
func (k *Kept) Close(ctx context.Context) error {
	close(k.quit)
	select {
	case <-k.done:
		return k.end
	case <-ctx.Done():
		return fmt.Errorf("audit: close: %w", ctx.Err())
	}
}

// monitor is the side of Kept that the writer talks to.
type monitor Kept

// Lost returns how many receipts were not kept.
func (m *monitor) Lost() uint64 { return m.dropped.Load() }

// Wrote notes an attempt to write, and says so when that begins or ceases to fail.
func (m *monitor) Wrote(receipts uint64, err error) {
	m.written.Add(receipts)
	switch {
	case err != nil:
		m.why.Store(err.Error())
		if !m.broken.Swap(true) {
			m.log.Error("receipts cannot be written", "err", err, "when_full", string(m.rule))
		}
	case m.broken.Load() && m.broken.Swap(false):
		m.log.Info("receipts are written again")
	}
}

// Published notes whether checkpoints reach their second place.
func (m *monitor) Published(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if was, _ := m.private.Load().(string); was != why {
		m.private.Store(why)
	}
}
