package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Spec is one sink as it is configured.
type Spec struct {
	Name string
	Kind string // of the system, such as kafka
	// Same tells settings apart: a sink whose Same does not change goes on as it
	// is when the configuration does.
	Same string
	// Open begins to use the system. It is called again after an error.
	Open func() (Sink, error)

	Filter Filter
	Mask   *Mask  // nil for none
	Format Format // nil: the line as it is
	Facts  bool   // the sink looks at the facts of items
	Newest bool   // a new sink begins with what comes, not with what there is
	// Overlap is how much comes again after a restart, for a system that cannot
	// say what it has.
	Overlap time.Duration

	Items   int           // of a batch
	Bytes   int           // of a batch, more or less
	Wait    time.Duration // how often the log is looked at
	Timeout time.Duration // of one delivery
	Retry   time.Duration // longest pause between two tries
}

// Times and bounds of every worker.
const (
	firstRetry = 200 * time.Millisecond
	saveEvery  = 200 * time.Millisecond // what a killed gateway delivers twice
	mostPoison = 100                    // refused one after the other: it is the system, not the receipts
)

// worker delivers to one sink.
type worker struct {
	Spec
	log    *slog.Logger
	source string        // directory of receipts
	dir    string        // of what the sink remembers
	head   func() uint64 // the last receipt of the log
	now    func() time.Time

	kick   chan struct{} // something was asked of it
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	cursor   Cursor
	saved    time.Time
	dirty    bool
	jump     *Position // a replay is to begin here
	unsaved  error     // why the cursor cannot be saved
	trouble  error     // why nothing is delivered
	since    time.Time // trouble
	retries  uint64
	last     time.Time // of a delivery
	pending  time.Time // when the oldest receipt in hand was made
	idle     bool      // the end of the log is reached
	poisoned int       // dead letters since something was taken

	// The goroutine's own.
	r    reader
	sink Sink
}

func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.r.close()
	defer w.drop()
	defer func() { w.save(true) }()
	w.r.dir = w.source
	poll := time.NewTimer(0)
	defer poll.Stop()
	for ctx.Err() == nil {
		w.turn()
		b, err := w.next()
		switch {
		case err != nil:
			w.failed(err)
		case b.read:
			if len(b.items) > 0 && !w.push(ctx, b.items) {
				continue // something else is wanted
			}
			w.advance(&b)
			continue
		default:
			w.rest()
		}
		poll.Reset(w.Wait)
		select {
		case <-ctx.Done():
		case <-w.kick:
		case <-poll.C:
		}
	}
}

// turn does what was asked since the last batch.
func (w *worker) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jump != nil {
		w.cursor.At, w.jump = *w.jump, nil
		w.poisoned, w.dirty = 0, true
	}
	w.r.seek(w.cursor.At)
}

// batch is what is read of the log in one go.
type batch struct {
	items    []*Item // that are wanted
	end      Position
	line     string // hash of the line before it; empty if none was read
	through  time.Time
	filtered uint64 // receipts that are not wanted
	read     bool   // anything at all
}

// next reads a batch.
func (w *worker) next() (b batch, err error) {
	w.mu.Lock()
	paused := w.cursor.Paused
	w.mu.Unlock()
	if paused {
		return b, nil
	}
	b.end = w.r.at
	if w.receipts() {
		if err := w.receiptLines(&b); err != nil {
			return b, err
		}
	}
	if w.Filter.kind(Checkpoint) {
		lines, err := checkpointLines(w.source, b.end.Checkpoints, w.Items)
		if err != nil {
			return b, err
		}
		for _, l := range lines {
			b.end.Checkpoints, b.read = l.end, true
			if it, err := newCheckpoint(l.text, b.end); err == nil {
				b.items = append(b.items, it)
			}
		}
	}
	w.dress(b.items)
	return b, nil
}

// receiptLines reads lines of a segment.
func (w *worker) receiptLines(b *batch) error {
	lines, err := w.r.lines(w.Items, w.Bytes)
	if err != nil {
		return err
	}
	seq, at := b.end.Seq, w.r.at
	for _, l := range lines {
		at.Offset, at.Seq = l.end, seq
		it, err := newItem(l.text, at)
		if err != nil { // somebody changed the log; the sink hears of it
			it = &Item{Kind: Record, ID: fmt.Sprintf("unreadable-%d-%d", at.Segment, l.end), Body: l.text, line: l.text, next: at, Facts: Facts{Severity: Critical}}
		}
		if it.Kind == Receipt {
			w.gap(seq, it.Seq)
			seq, b.through = it.Seq, it.Time
		}
		it.next.Seq = seq
		if b.line = it.Hash.String(); it.Replica == "" {
			b.line = unreadable
		}
		w.belongs(it.Replica)
		switch {
		case w.wants(it):
			b.items = append(b.items, it)
		case it.Kind == Receipt:
			b.filtered++
		}
	}
	b.end, b.read = w.r.at, len(lines) > 0
	b.end.Seq = seq
	return nil
}

// belongs notes whose directory the cursor is a place in.
func (w *worker) belongs(replica string) {
	w.mu.Lock()
	if w.cursor.Replica == "" {
		w.cursor.Replica = replica
	}
	w.mu.Unlock()
}

// gap notes receipts that are not there any more.
func (w *worker) gap(before, seq uint64) {
	if before == 0 || seq <= before+1 {
		return
	}
	w.mu.Lock()
	w.cursor.Missed += seq - before - 1
	w.mu.Unlock()
	w.log.Error("receipts were gone before they could be delivered", "sink", w.Name, "from", before+1, "to", seq-1)
}

func (w *worker) wants(it *Item) bool {
	if !w.Filter.kind(it.Kind) {
		return false
	}
	if !w.Filter.reads() {
		return true
	}
	it.Facts = factsOf(it.Kind, it.line)
	return w.Filter.wants(it.Kind, &it.Facts)
}

// dress makes bodies of lines: masked, and in the sink's format.
func (w *worker) dress(items []*Item) {
	if w.Mask == nil && w.Format == nil && !w.Facts {
		return
	}
	for _, it := range items {
		if w.Mask != nil {
			w.Mask.blind(it)
		}
		if !w.Filter.reads() {
			it.Facts = factsOf(it.Kind, it.line)
		}
		if w.Mask != nil {
			severity := it.Facts.Severity // of what happened, not of what is shown
			it.Facts = factsOf(it.Kind, it.Body)
			it.Facts.Severity = severity
		}
		if w.Format != nil && it.Kind != Checkpoint {
			it.Body = w.Format(nil, it)
		}
	}
}

// push delivers items, however long it takes. False says that something else
// is wanted first; what was not taken comes again.
func (w *worker) push(ctx context.Context, items []*Item) bool {
	w.mu.Lock()
	w.pending, w.idle = items[0].Time, false
	w.mu.Unlock()
	wait := firstRetry
	for {
		out, err := w.try(ctx, items)
		if errors.Is(err, ErrRefused) {
			switch {
			case len(items) > 1:
				half := len(items) / 2
				return w.push(ctx, items[:half]) && w.push(ctx, items[half:])
			case w.bury(items[0], err.Error(), &err):
				return true
			}
		}
		if err == nil {
			before := len(items)
			if items, err = w.settle(items, out); len(items) == 0 && err == nil {
				w.fine()
				return true
			}
			if len(items) < before {
				wait = firstRetry
			}
		}
		if ctx.Err() != nil {
			return false
		}
		w.failed(err)
		if !w.sleep(ctx, wait/2+rand.N(wait/2+1)) { //nolint:gosec // a pause is no secret
			return false
		}
		wait = min(2*wait, w.Retry)
	}
}

// settle buries what was refused of a batch, and returns what is to be tried
// again, and why.
func (w *worker) settle(items []*Item, out Outcome) ([]*Item, error) {
	var again []*Item
	why := out.Why
	if len(out.Again)+len(out.Refused) < len(items) {
		w.mu.Lock()
		w.poisoned = 0
		w.mu.Unlock()
	}
	left := make(map[int]bool, len(out.Again))
	for _, i := range out.Again {
		left[i] = true
	}
	for _, r := range out.Refused {
		if !w.bury(items[r.Index], r.Why, &why) {
			left[r.Index] = true
		}
	}
	for i, it := range items {
		if left[i] {
			again = append(again, it)
		}
	}
	return again, why
}

// bury writes a dead letter, unless so many came one after the other that it
// must be the system. It replaces why if it does not.
func (w *worker) bury(it *Item, reason string, why *error) bool {
	w.mu.Lock()
	n := w.poisoned
	w.mu.Unlock()
	if n >= mostPoison {
		*why = fmt.Errorf("%d receipts were refused one after the other, so that nothing more is given up: %s", n, reason)
		return false
	}
	err := bury(w.dir, letter{Time: w.now().UTC(), Sink: w.Name, ID: it.ID, Seq: it.Seq, Segment: it.next.Segment, Why: reason}, it.Body)
	if err != nil {
		*why = err
		return false
	}
	w.mu.Lock()
	w.poisoned++
	w.cursor.Dead++
	w.dirty = true
	w.mu.Unlock()
	w.log.Error("a receipt is a dead letter: the sink refused it for good", "sink", w.Name, "id", it.ID, "why", reason)
	return true
}

// try delivers once.
func (w *worker) try(ctx context.Context, items []*Item) (out Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the sink panicked: %v", p)
		}
	}()
	if w.sink == nil {
		if w.sink, err = w.Open(); err != nil {
			w.sink = nil
			return out, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	out, err = w.sink.Deliver(ctx, items)
	if err == nil && len(out.Again) > 0 && out.Why == nil {
		out.Why = errors.New("some were not taken")
	}
	return out, err
}

// drop ends the use of the system.
func (w *worker) drop() {
	if w.sink == nil {
		return
	}
	if err := w.sink.Close(); err != nil {
		w.log.Warn("closing a sink", "sink", w.Name, "err", err)
	}
	w.sink = nil
}

// sleep waits, unless something is asked meanwhile.
func (w *worker) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-w.kick:
			if w.asked() {
				return false
			}
		case <-t.C:
			return true
		}
	}
}

func (w *worker) asked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursor.Paused || w.jump != nil
}
