package deliver

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// lane is the worker's side of what is set aside.
type lane struct {
	r      reader
	items  []*Item // read, and not done
	end    Position
	size   int // of the next delivery
	rest   time.Time
	wait   time.Duration
	struck map[string]int
	hit    bool // in this batch
	out    int  // callers that were set aside when the batch was read
	known  map[string]*conduct
	broken broken
}

// broken is how often the system broke over the first of the items alone, and took
// another one then.
type broken struct {
	tries int
	since time.Time
	given int // up, for that
	fine  int // taken since
}

// enough notes one more time, and reports whether it is given up: whoever can make
// receipts over which the system breaks could keep all that he does afterwards from it.
// The more there are, the sooner.
func (b *broken) enough(now time.Time) bool {
	if b.tries++; b.tries == 1 {
		b.since = now
	}
	if b.tries < patience || now.Sub(b.since) < brokenFor>>b.given {
		return false
	}
	b.tries, b.fine = 0, 0
	b.given++
	return true
}

// taken gives some of the time back to what comes.
func (b *broken) taken(n int) {
	if b.fine += n; b.fine >= calm {
		b.fine, b.given = 0, max(0, b.given-1)
	}
}

// visit tries what is set aside, for so long more or less, and reports whether there is
// more of it to be tried now.
func (w *worker) visit(ctx context.Context, limit time.Duration) bool {
	l := &w.aside
	for end := w.now().Add(limit); ; {
		w.mu.Lock()
		a, main, off := w.cursor.Aside, w.cursor.At, w.cursor.Paused || w.jump != nil
		w.mu.Unlock()
		if a == nil || off {
			l.items, l.size, l.broken = nil, 0, broken{}
			return false
		}
		if w.now().Before(l.rest) || ctx.Err() != nil {
			return false
		}
		if len(l.items) == 0 {
			if more, err := w.fetch(a, main); !more {
				w.stuck(err)
				if err == nil {
					w.release(a)
				}
				return false
			}
		}
		if len(l.items) > 0 {
			w.one(ctx)
		}
		if len(l.items) == 0 {
			w.moved(l.end)
		}
		if !w.now().Before(end) {
			return true
		}
	}
}

// fetch reads what is next of what is set aside, up to where the sink is; false where
// there is nothing.
func (w *worker) fetch(a *Aside, main Position) (bool, error) {
	l := &w.aside
	if !a.At.before(main) {
		return false, nil
	}
	l.r.seek(a.At)
	lines, err := l.r.lines(w.Items, w.Bytes)
	if err != nil {
		return false, err
	}
	l.end = a.At
	removed := l.r.at.Segment > a.At.Segment && !w.has(a.At.Segment)
	for _, line := range lines {
		at := Position{Segment: l.r.at.Segment, Offset: line.end, Seq: l.end.Seq, Checkpoints: main.Checkpoints}
		if main.before(at) {
			break
		}
		it, err := newItem(line.text, at)
		if l.end = at; err != nil {
			continue // the others say so
		}
		if removed && it.Kind == Receipt { // among those there may be some of theirs
			w.gap(a.At.Seq, it.Seq)
			removed = false
		}
		l.end.Seq, it.next.Seq = it.Seq, it.Seq
		if after, is := a.Callers[callerOf(it)]; is && it.Seq > after && w.wants(it) {
			l.items = append(l.items, it)
		}
	}
	w.dress(l.items)
	l.size = max(l.size, 1)
	return l.end != a.At, nil
}

// has reports whether a segment is still there.
func (w *worker) has(segment uint64) bool {
	_, err := os.Stat(filepath.Join(w.source, ledger.SegmentFile(segment)))
	return !errors.Is(err, os.ErrNotExist)
}

// stuck notes why what is set aside is not delivered; nil: it is.
func (w *worker) stuck(err error) {
	w.mu.Lock()
	w.asideTrouble = err
	w.mu.Unlock()
}

// one delivers some of what is set aside: twice as many as the last time if those were
// taken, and half as many if not.
func (w *worker) one(ctx context.Context) {
	l := &w.aside
	items := l.items[:min(l.size, len(l.items))]
	out, err := w.try(ctx, items)
	switch {
	case errors.Is(err, ErrRefused) && len(items) > 1:
		l.size = len(items) / 2
		return
	case errors.Is(err, ErrRefused):
		out, err = Outcome{Refused: []Refusal{{0, err.Error()}}}, nil
		l.size = 1
	case err == nil:
		l.size = min(2*l.size, w.Items)
	}
	takes := err == nil || w.takes(ctx)
	if err != nil && takes && len(items) == 1 && l.broken.enough(w.now()) {
		out, err = Outcome{Refused: []Refusal{{0, "the system breaks over it, and takes others: " + err.Error()}}}, nil
	}
	left := items
	if err == nil {
		if left, err = w.settle(ctx, items, out); err != nil {
			takes = w.takes(ctx)
		}
	}
	if err == nil {
		w.conduct(items, out)
		l.broken.taken(len(items) - len(left) - len(out.Refused))
	}
	l.items = append(slices.Clone(left), l.items[len(items):]...)
	w.stuck(err)
	if len(left) == 0 {
		l.wait, l.broken.tries = 0, 0
		w.fine()
		w.moved(items[len(items)-1].next)
		return
	}
	if ctx.Err() == nil {
		if !takes {
			w.failed(err) // it is the system
		}
		l.size, l.wait = 1, min(max(2*l.wait, firstRetry), w.Retry)
		l.rest = w.now().Add(l.wait/2 + rand.N(l.wait/2+1)) //nolint:gosec // a pause is no secret
	}
}

// moved notes up to where what is set aside is done.
func (w *worker) moved(to Position) {
	w.mu.Lock()
	if a := w.cursor.Aside; a != nil && w.jump == nil {
		w.cursor.Aside = &Aside{to, a.Callers}
		w.dirty = true
	}
	w.mu.Unlock()
	w.save(false)
}
