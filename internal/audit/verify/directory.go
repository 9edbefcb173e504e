package verify

import (
	"fmt"
	"math"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// Options say what to verify by.
type Options struct {
	Keys      chain.Keys // empty: signatures are not checked
	Published string     // file with the second copy of the checkpoints; empty for none

	// Each is called with each whole line in order, so that what is verified and what
	// is read are the same bytes. What it is shown counts for nothing before Directory
	// returns, and says that the directory is as it was written.
	Each func(l *Line) error
}

type verifier struct {
	dir          string
	keys         chain.Keys
	each         func(*Line) error
	buffer       []chain.Hash // for the lines of one segment after the other
	report       Report
	hasher       *chain.Hasher
	badSignature bool

	replica string
	head    chain.Hash // of the last line, as it states it
	seq     uint64     // of the last receipt, as it states it
	before  *ended     // the segment before the one that is read
	removed uint64     // segments up to this one were removed, as a signed line says

	sinks map[string]*remembered // by name
	signs bool                   // what sinks remember is signed, as a line says
}

// ended is how a segment ended.
type ended struct {
	number  uint64
	lines   uint64
	head    chain.Hash
	why     string // of its end record
	torn    int64
	tornSum chain.Hash
	reader  string // its file

	unsealed *Finding // what to say if nothing excuses that its end is not signed
}

// Directory verifies a directory. The error is for what kept it from looking.
func Directory(dir string, o Options) (*Report, error) {
	v := &verifier{dir: dir, keys: o.Keys, each: o.Each, hasher: chain.NewHasher()}
	v.report = Report{Directory: dir, Signatures: "unchecked", Findings: []Finding{}}
	numbers, err := ledger.Segments(dir)
	if err != nil {
		return nil, err
	}
	v.readSinks() // before the log, which only grows
	marks, err := v.readMarks()
	if err != nil {
		return nil, err
	}
	if o.Published != "" {
		if err := v.readPublished(o.Published, marks); err != nil {
			return nil, err
		}
	}
	bySegment := make(map[uint64][]mark)
	for _, m := range marks {
		bySegment[m.Segment] = append(bySegment[m.Segment], m)
	}
	expect, leading := uint64(1), 0
	if len(numbers) > 0 { // whether what is missing was removed on purpose, a later line says
		expect, leading = numbers[0], int(numbers[0])-1
	}
	for _, n := range numbers {
		v.gap(expect, n, marks)
		expect = n + 1
		if err := v.segment(n, bySegment[n], marks); err != nil {
			return nil, err
		}
	}
	v.last(expect, marks)
	v.judgeSinks()
	if uint64(leading) > v.removed {
		v.seq = 0 // of what is before them
		v.gap(v.removed+1, uint64(leading)+1, marks)
	}
	v.report.Removed = min(uint64(leading), v.removed)
	v.report.Segments = len(numbers)
	if len(v.keys) > 0 {
		v.report.Signatures = "valid"
		if v.badSignature {
			v.report.Signatures = "invalid"
		}
	}
	v.report.OK = len(v.report.Findings) == 0
	return &v.report, nil
}

func (v *verifier) found(f Finding) { v.report.add(f) }

// gap reports segments that are not there, from expect to before n.
func (v *verifier) gap(expect, n uint64, marks []mark) {
	for ; expect < n; expect++ {
		if len(v.report.Findings) == maxFindings { // somebody can have made the number up, to have us count to it
			v.report.More += int(min(n-expect, math.MaxInt32))
			return
		}
		f := Finding{Kind: Missing, File: ledger.SegmentFile(expect), Message: "the segment is not there"}
		for _, m := range marks {
			if m.Segment == expect {
				f.Message = fmt.Sprintf("the segment is not there; checkpoint %d says that it had %d lines", m.Number, m.Lines)
				f.Seq, f.ToSeq = v.seq+1, m.Seq
			}
		}
		v.found(f)
		v.before = nil
	}
}

// last reports what must follow the last segment and does not.
func (v *verifier) last(expect uint64, marks []mark) {
	end := expect - 1
	for _, m := range marks {
		end = max(end, m.Segment)
	}
	v.gap(expect, end+1, marks)
	b := v.before
	if b == nil {
		return
	}
	if b.torn > 0 {
		v.found(Finding{Kind: Torn, File: b.reader, Line: b.lines + 1, Seq: v.seq + 1,
			Message: fmt.Sprintf("%d bytes after the last line have no end: the gateway was killed while it wrote them, or somebody cut the file; its next start tells", b.torn)})
	}
	if b.why == chain.EndRotated {
		v.found(Finding{Kind: Truncated, File: ledger.SegmentFile(b.number + 1), Seq: v.seq + 1,
			Message: fmt.Sprintf("segment %d says that another follows, and there is none", b.number)})
	}
}
