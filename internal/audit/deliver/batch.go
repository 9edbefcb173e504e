package deliver

import (
	"fmt"
	"time"
)

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
	w.aside.out = w.callersAside()
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
		switch {
		case w.isAside(it):
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
