package verify

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// reading is one segment while it is read.
type reading struct {
	*verifier
	number uint64
	file   string
	marks  []mark // about this segment, in the order they were signed
	tree   *chain.Tree
	why    string
	sealed uint64 // lines that a matching checkpoint covers
	sealAt uint64 // receipt up to which
	forged bool   // a checkpoint did not match
	gone   []removal
	shown
}

// removal is what a line says of segments that were removed. It counts once a
// checkpoint covers the line: without a key anybody can write one.
type removal struct{ line, through uint64 }

// segment reads one file.
func (v *verifier) segment(n uint64, marks, all []mark) error {
	f, err := segmentOf(v.dir, n).open()
	if err != nil {
		return err
	}
	defer f.Close()
	v.closed()
	s := &reading{verifier: v, number: n, file: ledger.SegmentFile(n), marks: marks, tree: chain.NewTree(v.hasher), sealAt: v.seq, shown: shown{hashes: v.buffer[:0]}}
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := chain.ReadLine(r)
		if errors.Is(err, io.EOF) {
			s.end(line)
			s.prove(all)
			v.buffer = s.hashes
			return nil
		}
		if err != nil {
			return fmt.Errorf("verify: %s: %w", s.file, err)
		}
		before := s.head
		l := s.line(line)
		if v.each == nil {
			continue
		}
		if err := s.show(line, l, before); err != nil {
			return err
		}
	}
}

// line checks one line, and holds what was signed against it. It returns nil of one
// that cannot be read.
func (s *reading) line(text []byte) *chain.Line {
	n := s.tree.Size() + 1
	at := Finding{File: s.file, Line: n, Seq: s.seq + 1}
	s.report.Lines++
	l, err := chain.Parse(text)
	if err != nil {
		at.Kind, at.Message = Altered, "this "+err.Error()
		s.found(at)
		s.tree.Add(chain.LineHash(text))
		s.check(n)
		return nil
	}
	if s.why != "" {
		at.Kind, at.Message = Foreign, "a line follows the end of the segment"
		s.found(at)
		s.why = ""
	}
	before := s.head
	if n == 1 && s.before == nil { // what came before is not here, and the line says how that ended
		before = l.Before()
	}
	computed := s.hasher.Line(before, l.Text)
	if (n == 1) != (l.Record == chain.RecordSegment) {
		at.Kind, at.Message = Missing, "the first line of the segment is not here"
		if n > 1 {
			at.Kind, at.Message = Foreign, "a segment begins within the segment"
		}
		s.found(at)
	}
	if !s.order(at, &l) && computed != l.Hash {
		at.Kind, at.Message = Altered, "the line, or the one before it, is not as it was written"
		s.found(at)
	}
	if s.replica == "" {
		s.replica, s.report.Replica = l.Replica, l.Replica
	}
	if l.Replica != s.replica {
		at.Kind, at.Message = Foreign, fmt.Sprintf("the line is of replica %s", l.Replica)
		s.found(at)
	}
	s.head, s.seq = l.Hash, l.Seq
	s.tree.Add(l.Hash)
	s.meaning(at, &l)
	s.check(n)
	return &l
}

// order checks the number of a line, and reports whether it was wrong.
func (s *reading) order(at Finding, l *chain.Line) (wrong bool) {
	want := s.seq
	if l.Record == "" {
		want++
		s.report.Receipts++
		if s.report.FirstSeq == 0 {
			s.report.FirstSeq = l.Seq
		}
		s.report.LastSeq = max(s.report.LastSeq, l.Seq)
	}
	switch {
	case l.Seq == want || s.report.Lines == 1:
		return false
	case l.Seq > want:
		at.Kind, at.Seq, at.ToSeq = Missing, s.seq+1, l.Seq
		if l.Record == "" {
			at.ToSeq--
		}
		at.Message = "receipts are not here, before this line"
	default:
		at.Kind, at.Seq = Reordered, l.Seq
		at.Message = fmt.Sprintf("the line is out of its place, or here twice: it comes after receipt %d", s.seq)
	}
	s.found(at)
	return true
}

// meaning reads what a record says.
func (s *reading) meaning(at Finding, l *chain.Line) {
	at.Seq = l.Seq
	switch l.Record {
	case chain.RecordLost:
		var lost chain.Lost
		if l.Members(&lost) == nil {
			s.report.Lost += lost.Lost
		}
	case chain.RecordRemoved:
		var r chain.Removed
		if l.Members(&r) == nil && r.Segment < s.number {
			s.gone = append(s.gone, removal{at.Line, r.Segment})
		}
	case chain.RecordEnd:
		var e chain.End
		if s.why = "unknown"; l.Members(&e) == nil && e.Why != "" {
			s.why = e.Why
		}
	case chain.RecordSegment:
		var h chain.Header
		if err := l.Members(&h); err != nil {
			at.Kind, at.Message = Altered, "the first line cannot be read"
			s.found(at)
			return
		}
		s.header(at, &h)
	}
}

// header checks that a segment follows the one before it.
func (s *reading) header(at Finding, h *chain.Header) {
	if h.Start == chain.StartInterrupted {
		s.report.Interrupted++
	}
	if h.Segment != s.number {
		at.Kind, at.Message = Reordered, fmt.Sprintf("the file holds segment %d", h.Segment)
		s.found(at)
		return
	}
	if h.Trouble != "" {
		at.Kind, at.Message = Reported, "the gateway found at its start: "+h.Trouble
		s.found(at)
	}
	s.namesSinks(h)
	b, p := s.before, h.Previous
	if b == nil || b.number+1 != s.number {
		return
	}
	switch {
	case p == nil, p.Segment != b.number, p.Head != b.head:
		at.Kind, at.Message = Foreign, "the segment does not follow the one before it"
	case p.Lines != b.lines:
		at.Kind, at.File, at.Line = Truncated, b.reader, b.lines+1
		at.Message = fmt.Sprintf("the segment has %d lines and had %d when the next one began", b.lines, p.Lines)
	case p.TornBytes != b.torn, b.torn > 0 && (p.TornSHA256 == nil || *p.TornSHA256 != b.tornSum):
		at.Kind, at.File, at.Line = Torn, b.reader, b.lines+1
		at.Message = fmt.Sprintf("%d bytes follow the last line, and the start after that found %d, or others", b.torn, p.TornBytes)
	case b.why != chain.EndRotated && h.Start == chain.StartRotated, b.why != chain.EndClosed && h.Start == chain.StartClean:
		at.Kind, at.File, at.Line = Truncated, b.reader, b.lines+1
		at.Message = "the end of the segment is not here"
	default:
		return
	}
	s.found(at)
}

// check holds the checkpoints about so many lines against the tree.
func (s *reading) check(n uint64) {
	for len(s.marks) > 0 && s.marks[0].Lines <= n {
		m := s.marks[0]
		s.marks = s.marks[1:]
		if m.Lines < n {
			s.found(Finding{Kind: Reordered, File: ledger.CheckpointFile, Line: m.line, Seq: m.Seq,
				Message: fmt.Sprintf("checkpoint %d is about fewer lines than the one before it", m.Number)})
			continue
		}
		if m.Root == s.tree.Root() && m.Head == s.head && m.Seq == s.seq && m.Replica == s.replica {
			s.sealed, s.sealAt = n, s.seq
			continue
		}
		if s.forged {
			continue // the first one that fails tells where
		}
		s.forged = true
		s.found(Finding{Kind: Forged, File: s.file, Line: s.sealed + 1, ToLine: n, Seq: s.sealAt + 1, ToSeq: max(m.Seq, s.sealAt+1),
			Message: fmt.Sprintf("these lines are not those that checkpoint %d (line %d of %s) was signed for", m.Number, m.line, ledger.CheckpointFile)})
	}
}

// end notes how the segment ends; rest is what comes after the last line end.
func (s *reading) end(rest []byte) {
	n := s.tree.Size()
	for _, m := range s.marks {
		s.found(Finding{Kind: Truncated, File: s.file, Line: n + 1, ToLine: m.Lines, Seq: s.seq + 1, ToSeq: m.Seq,
			Message: fmt.Sprintf("the segment has %d lines and had %d when checkpoint %d was signed", n, m.Lines, m.Number)})
	}
	for _, r := range s.gone {
		if r.line <= s.sealed && !s.forged {
			s.removed = max(s.removed, r.through)
		}
	}
	s.before = &ended{number: s.number, lines: n, head: s.head, why: s.why, torn: int64(len(rest)), reader: s.file}
	if n > s.sealed && !s.forged && len(s.marks) == 0 {
		s.before.unsealed = &Finding{Kind: Missing, File: s.file, Line: s.sealed + 1, ToLine: n, Seq: s.sealAt + 1, ToSeq: s.seq,
			Message: "the checkpoint about the end of the segment is not there"}
	}
	if s.why != "" {
		s.closed()
	}
	if len(rest) > 0 {
		s.before.tornSum = sha256.Sum256(rest)
	}
	s.report.Unsealed = n - min(s.sealed, n)
}

// closed reports that nobody has signed the end of the segment before, though
// it was ended in order, or another one follows.
func (v *verifier) closed() {
	if b := v.before; b != nil && b.unsealed != nil {
		v.found(*b.unsealed)
		b.unsealed = nil
	}
}
