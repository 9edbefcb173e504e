package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// Ledger is a directory that is being written. Its spool may be used from any
// goroutine, everything else from one.
type Ledger struct {
	o       Options
	locked  *os.File
	spool   *Spool
	replica string
	hasher  *chain.Hasher
	marks   *checkpoints

	// The segment.
	segment uint64
	file    *os.File
	off     int64
	began   time.Time
	tree    *chain.Tree
	head    chain.Hash
	seq     uint64 // of the last receipt, in buf or written
	ended   bool   // its end record is in buf or written
	sealed  bool   // its last checkpoint is written

	text    []byte // of the line being made
	buf     []byte // lines that are not written yet
	waiting uint64 // receipts among them
	unsaid  uint64 // receipts that one of them says are lost
	marked  uint64 // lines that a checkpoint covers
	markAt  time.Time
	private error     // why checkpoints are not published
	pruned  time.Time // when it was last looked for segments to remove
	removed uint64    // the last segment that was said to be removed

	before Deliveries  // as the start found it
	sinks  []string    // that have begun; nil if nobody knows
	turned atomic.Bool // a new segment is to begin

	writes atomic.Uint64 // segment
}

// Open continues the ledger of a directory, or begins one. What a killed
// process left behind is written first, in a new segment that says so.
func Open(o Options) (_ *Ledger, err error) {
	if err := os.MkdirAll(o.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	locked, err := lock(o.Directory)
	if err != nil {
		return nil, err
	}
	l := &Ledger{o: o, locked: locked, hasher: chain.NewHasher()}
	defer func() {
		if err != nil {
			l.shut()
		}
	}()
	marks, trouble, err := openCheckpoints(filepath.Join(o.Directory, CheckpointFile), &o)
	if err != nil {
		return nil, err
	}
	l.marks = marks
	p, err := look(o.Directory, marks.last)
	if err != nil {
		return nil, err
	}
	if trouble != "" {
		p.trouble = trouble
	}
	if err := l.resume(p); err != nil {
		return nil, err
	}
	return l, nil
}

// resume goes on after p.
func (l *Ledger) resume(p *past) error {
	spoolPath := filepath.Join(l.o.Directory, spoolFile)
	left, lost, err := salvage(spoolPath, p.seq)
	if err != nil {
		return err
	}
	l.replica, l.head, l.seq = p.replica, p.head, p.seq
	l.before = deliveries(l.o.Directory, p, l.marks)
	if l.before.Unsigned && l.o.Adopt != nil {
		l.before.names = union(nil, l.o.Adopt(&l.before))
	}
	l.sinks = l.before.names
	next := p.seq + 1
	if len(left) > 0 && left[0].seq > next { // the spool gives room back only for what was written
		next = left[0].seq
		p.trouble = fmt.Sprintf("receipts %d to %d were written, and are not there", p.seq+1, next-1)
	}
	header := l.continues(p, uint64(len(left)))
	if header.Trouble != "" {
		l.marks.begun = nil // how old its segments are, nobody knows: they stay as if they were new
		l.o.Log.Error("the receipt directory was changed since it was last written", "directory", l.o.Directory, "what", header.Trouble)
	} else if err := l.sealOld(p); err != nil {
		return err
	}
	if header.Start == chain.StartInterrupted {
		l.o.Log.Warn("the gateway was not stopped in order; the receipt chain goes on", "directory", l.o.Directory,
			"recovered", header.Recovered, "torn_bytes", p.torn)
	}
	if err := l.begin(header); err != nil {
		return err
	}
	l.seq = next - 1 // what is missing keeps its numbers
	if lost > 0 {
		if err := l.lose(lost); err != nil {
			return err
		}
	}
	for _, r := range left {
		l.receipt(r.receipt)
	}
	if err := l.flush(); err != nil {
		return err
	}
	if err := l.mark(false); err != nil { // before a new spool takes the old one's place
		return err
	}
	l.spool, err = createSpool(spoolPath, l.o.Spool, l.seq+1)
	return err
}

// continues makes the header of the segment after p.
func (l *Ledger) continues(p *past, recovered uint64) chain.Header {
	h := chain.Header{Segment: p.segment + 1, Start: chain.StartFirst, Recovered: recovered, Trouble: p.trouble}
	if p.segment == 0 {
		if last := l.marks.last; last != nil {
			h.Segment, h.Start = last.Segment+1, chain.StartInterrupted
		}
		return h
	}
	h.Start = chain.StartInterrupted
	if p.end == chain.EndClosed && recovered == 0 && p.torn == 0 {
		h.Start = chain.StartClean
	}
	h.Previous = &chain.Previous{Segment: p.segment, Lines: p.lines, Head: p.head, TornBytes: p.torn}
	if p.torn > 0 {
		h.Previous.TornSHA256 = &p.tornSum
	}
	return h
}

// sealOld signs the end of a segment whose process could not.
func (l *Ledger) sealOld(p *past) error {
	last := l.marks.last
	if p.segmentWithLines == 0 || last != nil && last.Final && last.Segment == p.segmentWithLines && last.Lines == p.linesThere {
		return nil
	}
	return l.marks.add(chain.Checkpoint{
		Replica: p.replica, Time: l.o.Now(), Segment: p.segmentWithLines, Lines: p.linesThere, Seq: p.seq,
		Root: p.tree.Root(), Head: p.head, Final: true, Recovered: true,
	}, &l.o)
}

// begin makes the file of a new segment.
func (l *Ledger) begin(h chain.Header) error {
	f, err := os.OpenFile(filepath.Join(l.o.Directory, SegmentFile(h.Segment)), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := syncDir(l.o.Directory); err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // synced with its last checkpoint
	}
	l.file, l.segment, l.off, l.began = f, h.Segment, 0, l.o.Now()
	l.writes.Store(h.Segment)
	l.tree, l.ended, l.sealed, l.marked = chain.NewTree(l.hasher), false, false, 0
	h.Time = l.began.UTC()
	h.Sinks = l.nameSinks()
	return l.record(chain.RecordSegment, h)
}

// record appends a line that is no receipt.
func (l *Ledger) record(kind string, members any) error {
	text, err := chain.AppendMembers(chain.AppendRecord(l.text[:0], l.replica, l.seq, kind), members)
	if err != nil {
		return err
	}
	l.line(text)
	return nil
}

// lose appends a line that says how many receipts are missing.
func (l *Ledger) lose(n uint64) error {
	return l.record(chain.RecordLost, chain.Lost{Time: l.o.Now().UTC(), Lost: n})
}

// receipt appends the line of a receipt.
func (l *Ledger) receipt(members []byte) {
	l.seq++
	l.waiting++
	l.line(append(chain.AppendReceipt(l.text[:0], l.replica, l.seq), members...))
}

func (l *Ledger) line(text []byte) {
	l.head = l.hasher.Line(l.head, text)
	l.tree.Add(l.head)
	l.buf = chain.AppendSeal(append(l.buf, text...), l.head)
	l.text = text
}

// flush writes the lines that wait. After a failure they wait on: the same
// bytes go to the same place the next time, so that no line is ever half.
func (l *Ledger) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	if _, err := l.file.WriteAt(l.buf, l.off); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	l.off += int64(len(l.buf))
	l.buf, l.waiting = l.buf[:0], 0
	if cap(l.buf) > 8*maxBatch {
		l.buf = nil
	}
	if l.spool != nil {
		l.spool.release()
		l.spool.said(l.unsaid) // a process that dies before this says it twice, rather than never
		l.unsaid = 0
	}
	return nil
}

// mark signs what is written so far.
func (l *Ledger) mark(final bool) error {
	if err := l.file.Sync(); err != nil { // nothing is signed that the disk could forget
		return fmt.Errorf("ledger: %w", err)
	}
	err := l.marks.add(chain.Checkpoint{
		Replica: l.replica, Time: l.o.Now(), Segment: l.segment, Lines: l.tree.Size(), Seq: l.seq,
		Root: l.tree.Root(), Head: l.head, Final: final,
	}, &l.o)
	if err != nil {
		return err
	}
	l.marked, l.markAt, l.sealed = l.tree.Size(), l.o.Now(), final
	l.publish()
	return nil
}

// publish copies the checkpoints. A place that cannot be reached is tried again
// with the next one, and refuses no traffic: the directory has them all.
func (l *Ledger) publish() {
	err := l.marks.copy()
	switch {
	case err != nil && l.private == nil:
		l.o.Log.Error("checkpoints cannot be published", "err", err)
	case err == nil && l.private != nil:
		l.o.Log.Info("checkpoints are published again")
	}
	l.private = err
}

// end ends the segment in order. It can be called again after a failure.
func (l *Ledger) end(why string) error {
	if !l.ended {
		if err := l.record(chain.RecordEnd, chain.End{Time: l.o.Now().UTC(), Why: why}); err != nil {
			return err
		}
		l.ended = true
	}
	if err := l.flush(); err != nil {
		return err
	}
	if !l.sealed {
		return l.mark(true)
	}
	return nil
}

// rotate goes on in a new segment. It can be called again after a failure.
func (l *Ledger) rotate() error {
	if err := l.end(chain.EndRotated); err != nil {
		return err
	}
	previous := &chain.Previous{Segment: l.segment, Lines: l.tree.Size(), Head: l.head}
	if err := l.begin(chain.Header{Segment: l.segment + 1, Start: chain.StartRotated, Previous: previous}); err != nil {
		return err
	}
	return l.flush()
}

// Segment returns the number of the segment that is written. It may be called from any
// goroutine.
func (l *Ledger) Segment() uint64 { return l.writes.Load() }

// shut closes the files.
func (l *Ledger) shut() {
	var err error
	if l.spool != nil {
		err = l.spool.close()
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	if l.marks != nil {
		err = errors.Join(err, l.marks.file.Close())
	}
	if err = errors.Join(err, l.locked.Close()); err != nil {
		l.o.Log.Warn("closing the receipt directory", "err", err)
	}
}
