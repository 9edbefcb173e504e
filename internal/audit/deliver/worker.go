package deliver

import (
	"context"
	"crypto/ed25519"
	"log/slog"
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
	mostPoison = 100                    // refused one after the other: is it the system, or the receipts?
	patience   = 3                      // failures of one batch before it is asked whether it is the batch
)

// worker delivers to one sink.
type worker struct {
	Spec
	log    *slog.Logger
	source string // directory of receipts
	folder folder // of what the sink remembers
	key    ed25519.PrivateKey
	of     string // replica whose directory it is
	tell   func(sink, why string)
	head   func() uint64 // the last receipt of the log
	writes func() uint64 // the segment that is written
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
	told     time.Time // of a dead letter

	asideTrouble error // why what is set aside is not delivered

	letters pile // those that are refused for good
	older   Pile
	full    int64  // bytes of letters after which there is another file
	maskKey string // digest of the key that was made for its mask
	unknown bool   // nobody knows which dead letters were written
	looked  bool   // for commands that the log has and the place does not

	// The goroutine's own.
	r     reader
	sink  Sink
	aside lane
}

func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.folder.Close()
	defer w.r.close()
	defer w.aside.r.close()
	defer w.drop()
	defer func() { w.save(true) }()
	w.r.dir, w.aside.r.dir = w.source, w.source
	w.r.last, w.aside.r.last = w.writes, w.writes
	w.obey(ctx)
	poll := time.NewTimer(0)
	defer poll.Stop()
	for ctx.Err() == nil {
		w.turn()
		began := w.now()
		b, err := w.next()
		switch {
		case err != nil:
			w.failed(err)
		case b.read:
			if len(b.items) > 0 && !w.push(ctx, b.items, patience) {
				continue // something else is wanted
			}
			w.advance(&b)
			w.visit(ctx, max(w.now().Sub(began), leastVisit)) // as long as others had
			continue
		default:
			w.rest()
			if w.visit(ctx, w.Wait) {
				continue
			}
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
		w.aside.items, w.aside.size = nil, 0 // read from where it was
	}
	w.r.seek(w.cursor.At)
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
