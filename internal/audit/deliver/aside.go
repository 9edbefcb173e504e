package deliver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/mcp"
)

// Aside is what a sink tries apart from the rest: receipts of callers of whom the
// system refused some, each of which costs a delivery of its own. They have a place of
// their own in the log, behind the sink's, so that others need not wait for them.
type Aside struct {
	At      Position          `json:"at"`
	Callers map[string]uint64 `json:"callers"` // by digest: the receipt up to which all is done
}

// Bounds of what is set aside.
const (
	mostAside  = 1000                  // callers; they cost an identity each
	strikes    = 3                     // receipts of a caller that are refused by themselves, before what it does is set aside
	calm       = 100                   // receipts of a caller that are taken, before it is one of the others again
	calmFor    = 10 * time.Minute      // or so long without one that is refused
	brokenFor  = time.Minute           // that the system breaks over a receipt, before it is a dead letter; half as long for each after that
	leastVisit = 10 * time.Millisecond // for what is set aside, after others had their turn
)

// conduct is how a caller's receipts fared since it was set aside.
type conduct struct {
	taken int
	last  time.Time // that one was refused
}

// callerOf is a digest of who made the call that a receipt is about; "" for a record.
func callerOf(it *Item) string {
	if it.Kind != Receipt {
		return ""
	}
	h := sha256.New()
	for key, value := range mcp.Members(it.line) {
		switch key {
		case "tenant", "issuer", "subject", "pseudonym", "client", "peer":
			h.Write(append(append([]byte(key), '='), value...))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// rewind is for a place that is not where the sink went on by itself: what comes again
// from there is not set aside.
func (c *Cursor) rewind(to Position) {
	if c.Aside != nil && to.before(c.Aside.At) {
		c.Aside = nil
	}
}

// isAside reports whether an item is left for later.
func (w *worker) isAside(it *Item) bool {
	w.mu.Lock()
	a := w.cursor.Aside
	w.mu.Unlock()
	if a == nil {
		return false
	}
	after, is := a.Callers[callerOf(it)]
	return is && it.Seq > after
}

func (w *worker) callersAside() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cursor.Aside == nil {
		return 0
	}
	return len(w.cursor.Aside.Callers)
}

// without leaves out what was set aside since a batch was read.
func (w *worker) without(items []*Item) []*Item {
	if w.callersAside() == w.aside.out || !slices.ContainsFunc(items, w.isAside) {
		return items
	}
	return slices.DeleteFunc(slices.Clone(items), w.isAside)
}

// strike notes that an item was refused by itself. A system that takes nothing at all
// is no reason to set anybody aside.
func (w *worker) strike(ctx context.Context, it *Item) {
	who := callerOf(it)
	if who == "" {
		return
	}
	if w.aside.struck == nil || len(w.aside.struck) > mostAside {
		w.aside.struck = make(map[string]int)
	}
	w.aside.hit = true
	if w.aside.struck[who]++; w.aside.struck[who] >= strikes && w.takes(ctx) && w.suspect(it, it.Seq) {
		delete(w.aside.struck, who)
		w.log.Warn("a sink refuses receipts of one caller: they are set aside, and tried one by one", "sink", w.Name, "id", it.ID)
	}
}

// suspect sets aside what a caller does after a receipt.
func (w *worker) suspect(it *Item, after uint64) bool {
	who := callerOf(it)
	if who == "" {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	a := &Aside{At: w.cursor.At, Callers: map[string]uint64{}} // the batch at hand begins there
	if old := w.cursor.Aside; old != nil {
		if len(old.Callers) >= mostAside {
			return false
		}
		a.At = old.At
		maps.Copy(a.Callers, old.Callers) // whoever reads status has the old one
	}
	a.Callers[who] = after
	w.cursor.Aside, w.dirty = a, true
	return true
}

// forgive makes strikes count only where they come close together.
func (w *worker) forgive() {
	if w.aside.hit {
		w.aside.hit = false
		return
	}
	for who := range w.aside.struck {
		if w.aside.struck[who]--; w.aside.struck[who] <= 0 {
			delete(w.aside.struck, who)
		}
	}
}

// conduct notes how callers fared.
func (w *worker) conduct(items []*Item, out Outcome) {
	for i, it := range items {
		c := w.aside.of(callerOf(it), w.now())
		if slices.ContainsFunc(out.Refused, func(r Refusal) bool { return r.Index == i }) {
			c.taken, c.last = 0, w.now()
		} else {
			c.taken++
		}
	}
}

func (l *lane) of(who string, now time.Time) *conduct {
	if l.known == nil {
		l.known = make(map[string]*conduct)
	}
	if l.known[who] == nil {
		l.known[who] = &conduct{last: now}
	}
	return l.known[who]
}

// release lets callers be among the others again who behave; all that they did is done.
func (w *worker) release(a *Aside) {
	rest := make(map[string]uint64)
	for who, after := range a.Callers {
		if c := w.aside.of(who, w.now()); c.taken < calm && w.now().Sub(c.last) < calmFor {
			rest[who] = after
		} else {
			delete(w.aside.known, who)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch now := w.cursor.Aside; {
	case now == nil || len(rest) == len(a.Callers):
	case len(rest) == 0:
		w.cursor.Aside, w.dirty = nil, true
	default:
		w.cursor.Aside, w.dirty = &Aside{now.At, rest}, true
	}
}
