package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// push delivers items, however long it takes. False says that something else
// is wanted first; what was not taken comes again. After so many failures as tries
// says it is asked whether the items are why.
func (w *worker) push(ctx context.Context, items []*Item, tries int) bool {
	if items = w.without(items); len(items) == 0 {
		return true
	}
	w.mu.Lock()
	w.pending, w.idle = items[0].Time, false
	w.mu.Unlock()
	wait := firstRetry
	for n := 1; ; n++ {
		out, err := w.try(ctx, items)
		if errors.Is(err, ErrRefused) {
			switch {
			case len(items) > 1:
				return w.halves(ctx, items, tries)
			case w.bury(ctx, items, []Refusal{{0, err.Error()}}, &err):
				w.strike(ctx, items[0])
				return true
			}
		} else {
			if err == nil {
				before := len(items)
				if items, err = w.settle(ctx, items, out); len(items) == 0 && err == nil {
					w.fine()
					return true
				}
				if len(items) < before {
					wait, n = firstRetry, 0
				}
			}
			if n >= tries && w.takes(ctx) {
				if len(items) > 1 {
					return w.halves(ctx, items, 1)
				}
				if w.suspect(items[0], items[0].Seq-1) {
					w.log.Warn("a sink breaks over a receipt, and takes others: what its caller does is set aside", "sink", w.Name, "id", items[0].ID, "err", err)
					return true
				}
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

func (w *worker) halves(ctx context.Context, items []*Item, tries int) bool {
	half := len(items) / 2
	return w.push(ctx, items[:half], tries) && w.push(ctx, items[half:], tries)
}

// settle counts what was taken of a batch, buries what was refused, and returns what
// is to be tried again, and why.
func (w *worker) settle(ctx context.Context, items []*Item, out Outcome) ([]*Item, error) {
	var again []*Item
	why := out.Why
	left := make(map[int]bool, len(out.Again)+len(out.Refused))
	for _, i := range out.Again {
		left[i] = true
	}
	for _, r := range out.Refused {
		left[r.Index] = true
	}
	for i := len(items) - 1; i >= 0; i-- {
		if !left[i] {
			w.taken(items[i])
			break
		}
	}
	w.mu.Lock()
	w.cursor.Delivered += uint64(len(items) - len(left))
	room := mostPoison - w.poisoned
	w.mu.Unlock()
	refused := out.Refused
	if room > 0 && len(refused) > room && len(out.Again)+len(refused) == len(items) {
		refused = refused[:room] // and then it is asked whether it is the system
	}
	if len(refused) > 0 && w.bury(ctx, items, refused, &why) {
		for _, r := range refused {
			left[r.Index] = false
		}
	}
	for i, it := range items {
		if left[i] {
			again = append(again, it)
		}
	}
	return again, why
}

// taken notes an item that the system took: by it the system can be told from what it
// refuses.
func (w *worker) taken(it *Item) {
	w.mu.Lock()
	w.poisoned = 0
	if it.Kind != Checkpoint {
		w.cursor.Good = &Mark{it.next.Segment, it.next.Offset}
	}
	w.mu.Unlock()
}

// takes reports whether the system takes what it took before, though it does not take
// what is at hand.
func (w *worker) takes(ctx context.Context) bool {
	w.mu.Lock()
	at := w.cursor.Good
	w.mu.Unlock()
	if at == nil {
		return false
	}
	line, err := at.line(w.source)
	if errors.Is(err, os.ErrNotExist) { // it need be kept no longer; what a segment begins with is no caller's words
		at, line, err = firstLine(w.source, w.writes)
	}
	if err != nil {
		return false
	}
	it, err := newItem(line, Position{Segment: at.Segment, Offset: at.End})
	if err != nil {
		return false
	}
	w.dress([]*Item{it})
	out, err := w.try(ctx, []*Item{it})
	return err == nil && len(out.Again)+len(out.Refused) == 0
}

// bury writes dead letters. Where so many came one after the other that it may be the
// system, it does only if the system takes what it took before. It replaces why if it
// does not.
func (w *worker) bury(ctx context.Context, items []*Item, refused []Refusal, why *error) bool {
	w.mu.Lock()
	n := w.poisoned
	w.mu.Unlock()
	if n >= mostPoison {
		if !w.takes(ctx) {
			*why = fmt.Errorf("%d receipts were refused one after the other, so that nothing more is given up: %s", n, refused[0].Why)
			return false
		}
		n = 0
	}
	now := w.now().UTC()
	letters := make([]letter, len(refused))
	for i, r := range refused {
		it := items[r.Index]
		letters[i] = letter{Time: now, Sink: w.Name, ID: it.ID, Seq: it.Seq, Segment: it.next.Segment, Why: r.Why, of: it.Body}
	}
	if err := w.write(letters); err != nil {
		*why = err
		return false
	}
	w.mu.Lock()
	w.poisoned = n + len(refused)
	w.cursor.Dead += uint64(len(refused))
	w.dirty = true
	dead := w.cursor.Dead
	tell := now.Sub(w.told) >= time.Second // whoever can have receipts refused must not fill the log
	if tell {
		w.told = now
	}
	w.mu.Unlock()
	if tell {
		w.log.Error("a receipt is a dead letter: the sink refused it for good", "sink", w.Name, "id", letters[0].ID, "why", letters[0].Why, "dead_letters", dead)
	}
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
