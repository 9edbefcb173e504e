package deliver

import (
	"time"
)

// Status tells how one sink is.
type Status struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	State string `json:"state"` // running, failing or paused

	Lag        uint64  `json:"lag"`         // receipts in the log that were not looked at yet
	LagSeconds float64 `json:"lag_seconds"` // how old the oldest of them is

	Cursor
	Retries      uint64     `json:"retries"` // since the start
	Error        string     `json:"error,omitempty"`
	FailingSince *time.Time `json:"failing_since,omitempty"`
	Last         *time.Time `json:"last_delivery,omitempty"`
	Unsaved      string     `json:"unsaved,omitempty"` // why its place is not remembered

	AsideLag   uint64 `json:"aside_lag,omitempty"`   // receipts, of all callers, between what is set aside and the rest
	AsideError string `json:"aside_error,omitempty"` // why that is not delivered
}

func (w *worker) status() Status {
	head := w.head()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{Name: w.Name, Kind: w.Kind, State: "running", Cursor: w.cursor, Retries: w.retries}
	if head > w.cursor.At.Seq && w.receipts() {
		s.Lag = head - w.cursor.At.Seq
		oldest := w.pending
		if oldest.IsZero() {
			oldest = w.cursor.Through
		}
		if !oldest.IsZero() {
			s.LagSeconds = max(0, w.now().Sub(oldest).Seconds())
		}
	}
	if a := w.cursor.Aside; a != nil {
		s.AsideLag = w.cursor.At.Seq - min(w.cursor.At.Seq, a.At.Seq)
		if w.asideTrouble != nil {
			s.AsideError = w.asideTrouble.Error()
		}
	}
	if w.trouble != nil {
		at := w.since
		s.State, s.Error, s.FailingSince = "failing", w.trouble.Error(), &at
	}
	if w.cursor.Paused {
		s.State = "paused"
	}
	if !w.last.IsZero() {
		at := w.last
		s.Last = &at
	}
	if w.unsaved != nil {
		s.Unsaved = w.unsaved.Error()
	}
	return s
}

func (s *Spec) receipts() bool { return s.Filter.kind(Receipt) || s.Filter.kind(Record) }

// advance moves the cursor behind a batch.
func (w *worker) advance(b *batch) {
	w.mu.Lock()
	if w.jump == nil { // otherwise the batch is from before a replay was asked for
		w.cursor.At = b.end
		if b.line != "" {
			w.cursor.Line = b.line
		}
		if !b.through.IsZero() {
			w.cursor.Through = b.through
		}
	}
	w.cursor.Filtered += b.filtered
	w.pending, w.dirty = time.Time{}, true
	w.mu.Unlock()
	w.forgive()
	w.save(false)
}

// rest notes that there is nothing to do.
func (w *worker) rest() {
	w.mu.Lock()
	w.idle = !w.cursor.Paused
	w.mu.Unlock()
	w.save(true)
}

// fine notes that a batch was taken.
func (w *worker) fine() {
	w.mu.Lock()
	was := w.trouble
	w.trouble, w.last = nil, w.now().UTC()
	w.mu.Unlock()
	if was != nil {
		w.log.Info("a sink takes receipts again", "sink", w.Name)
	}
}

// failed notes that nothing was taken.
func (w *worker) failed(err error) {
	w.mu.Lock()
	first := w.trouble == nil
	if first {
		w.since = w.now().UTC()
	}
	w.trouble = err
	w.retries++
	w.mu.Unlock()
	if first {
		w.log.Warn("a sink does not take receipts; they wait in the log", "sink", w.Name, "err", err)
	}
}

// save writes the cursor; unless it must, not too often.
func (w *worker) save(must bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saveLocked(must)
}

func (w *worker) saveLocked(must bool) {
	now := w.now()
	if !w.dirty || !must && now.Sub(w.saved) < saveEvery {
		return
	}
	err := w.remember(now)
	if err == nil {
		w.dirty, w.saved = false, now
	}
	if (err == nil) != (w.unsaved == nil) {
		if err != nil {
			w.log.Error("the place of a sink cannot be saved; after a restart receipts would come again", "sink", w.Name, "err", err)
		} else {
			w.log.Info("the place of a sink is saved again", "sink", w.Name)
		}
	}
	w.unsaved = err
}

// remember writes what the sink remembers; w.mu is held.
func (w *worker) remember(now time.Time) error {
	w.cursor.Saved, w.cursor.Replica = now.UTC(), w.of
	text, err := Memory{Sink: w.Name, Cursor: w.cursor, Letters: w.letters.Pile, Older: w.older, MaskKey: w.maskKey}.sign(w.key)
	if err != nil {
		return err
	}
	return w.folder.replace(CursorFile, text)
}
