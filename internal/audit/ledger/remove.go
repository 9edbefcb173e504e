package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// Retention says how long segments stay. The zero Retention keeps them for good.
type Retention struct {
	For time.Duration // since a segment's last receipt; 0 for good

	// Needed returns the oldest segment that somebody has to read still; nil and
	// false for nobody. Such segments stay longer: by Undelivered at most, and
	// with 0 as long as it takes.
	Needed      func() (segment uint64, some bool)
	Undelivered time.Duration
}

// prune removes the oldest segments that need not stay. That is first written
// into the chain, and signed: whoever verifies can tell it from a theft.
func (l *Ledger) prune(now time.Time) error {
	keep := &l.o.Retention
	if keep.For == 0 || now.Sub(l.pruned) < min(keep.For/4, time.Minute) {
		return nil
	}
	l.pruned = now
	numbers, err := Segments(l.o.Directory)
	if err != nil {
		return err
	}
	var gone []uint64
	through := chain.Removed{Time: now.UTC()}
	for i, n := range numbers {
		if n >= l.segment || i+1 == len(numbers) {
			break
		}
		at, seq, ok := l.marks.written(n)
		age := now.Sub(at)
		if !ok || age < keep.For || l.needs(n, age) {
			break
		}
		gone, through.Segment, through.Seq = append(gone, n), n, seq
	}
	if len(gone) == 0 {
		return nil
	}
	if through.Segment > l.removed {
		if err := l.record(chain.RecordRemoved, through); err != nil {
			return err
		}
		if err := l.flush(); err != nil {
			return err
		}
		if err := l.mark(false); err != nil {
			return err
		}
		l.removed = through.Segment
	}
	for _, n := range gone {
		if err := os.Remove(filepath.Join(l.o.Directory, SegmentFile(n))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("ledger: remove: %w", err)
		}
	}
	l.o.Log.Info("segments of receipts were removed: they are as old as receipts are kept", "directory", l.o.Directory, "through", through.Segment, "through_receipt", through.Seq)
	return nil
}

// needs reports whether a segment stays because somebody has to read it.
func (l *Ledger) needs(n uint64, age time.Duration) bool {
	keep := &l.o.Retention
	if keep.Needed == nil {
		return false
	}
	oldest, some := keep.Needed()
	switch {
	case !some || n < oldest:
		return false
	case keep.Undelivered == 0 || age < keep.For+keep.Undelivered:
		return true
	}
	l.o.Log.Error("a segment of receipts is removed that was not delivered to every sink", "segment", n, "kept_for", age.Round(time.Second))
	return false
}
