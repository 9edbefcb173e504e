package ledger

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

const (
	maxBatch  = 1 << 16                // bytes that go out in one write, more or less
	lingering = 4 * time.Millisecond   // how long a receipt may wait for others to be written with it
	retry     = 250 * time.Millisecond // how often a writer that fails tries again
)

// Spool is where receipts are put.
func (l *Ledger) Spool() *Spool { return l.spool }

// Seq returns the number of the last receipt, before Run begins.
func (l *Ledger) Seq() uint64 { return l.seq }

// Monitor is told what the writer does, from its goroutine.
type Monitor interface {
	Lost() uint64                     // receipts not kept since the start; each went through Spool.Lose before
	Wrote(receipts uint64, err error) // after each attempt to write
	Published(err error)              // after each attempt to do all that is due: why checkpoints are not
}

// Run writes what is put into the spool until quit is closed, and then what is
// in it still. It closes the ledger. An error says that receipts stay in the
// spool, for the next start to write.
func (l *Ledger) Run(quit <-chan struct{}, m Monitor) error {
	defer l.shut()
	var lost uint64
	l.markAt = l.o.Now()
	beat := time.NewTicker(min(max(l.o.CheckpointEvery/4, 5*time.Millisecond), time.Second))
	defer beat.Stop()
	var again <-chan time.Time
	for {
		select {
		case <-again:
		case <-beat.C:
		case <-l.wakeUnless(again):
			l.linger()
		case <-quit:
			err := l.work(m, &lost)
			if err == nil {
				err = l.end(chain.EndClosed)
			}
			m.Wrote(0, err)
			if err != nil {
				return fmt.Errorf("%w; what was not written is kept in the spool for the next start", err)
			}
			return nil
		}
		again = nil
		if err := l.work(m, &lost); err != nil {
			again = time.After(retry)
		}
	}
}

// wakeUnless holds the spool's calls back while a retry is due.
func (l *Ledger) wakeUnless(again <-chan time.Time) <-chan struct{} {
	if again != nil {
		return nil
	}
	return l.spool.Wake()
}

// linger lets receipts come together, since a write for each would cost more
// than making it did. A spool that fills up is emptied at once.
func (l *Ledger) linger() {
	if l.spool.roomy() {
		time.Sleep(lingering)
	}
}

// work does all that is due.
func (l *Ledger) work(m Monitor, lost *uint64) error {
	defer func() { m.Published(l.private) }()
	for {
		n, more, err := l.batch(m.Lost(), lost)
		if n > 0 || err != nil {
			m.Wrote(n, err)
		}
		if err != nil {
			return err
		}
		if now := l.o.Now(); l.off >= l.o.SegmentSize || now.Sub(l.began) >= l.o.SegmentTime && l.tree.Size() > 1 || l.turned.Swap(false) {
			err = l.rotate()
		} else if now.Sub(l.markAt) >= l.o.CheckpointEvery {
			if l.markAt = now; l.tree.Size() > l.marked {
				err = l.mark(false)
			} else {
				l.publish()
			}
		}
		if err == nil {
			err = l.prune(l.o.Now())
		}
		if err != nil {
			l.markAt = time.Time{} // as soon as it can be
			m.Wrote(0, err)
			return err
		}
		if !more {
			m.Wrote(0, nil)
			return nil
		}
	}
}

// batch writes what waits, and reports whether it stopped before the end.
func (l *Ledger) batch(total uint64, lost *uint64) (n uint64, more bool, err error) {
	if l.ended { // a rotation that failed half-way
		if err := l.rotate(); err != nil {
			return 0, false, err
		}
	}
	if len(l.buf) == 0 {
		if total > *lost {
			if err := l.lose(total - *lost); err != nil {
				return 0, false, err
			}
			l.unsaid, *lost = total-*lost, total
		}
		err := l.spool.each(func(receipt []byte) bool {
			l.receipt(receipt)
			more = len(l.buf) >= maxBatch
			return !more
		})
		if err != nil {
			return 0, false, err
		}
	} else {
		more = true
	}
	n = l.waiting
	if err := l.flush(); err != nil {
		return 0, false, err
	}
	return n, more, nil
}
