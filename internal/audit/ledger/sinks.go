package ledger

import (
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// Deliveries is what the log knew of sinks when it was opened. Whoever can write the
// directory can take away what a sink remembers, or put something else there. He cannot
// take away what stands in the log under a checkpoint: which sinks had begun, and that
// what they remember is signed.
type Deliveries struct {
	Replica  string
	Unsigned bool // the log is from before what sinks remember was signed

	all   bool     // nobody knows which sinks had begun
	names []string // nil: from before they were written down
}

// Begun reports whether a sink had begun to be delivered to, as far as anybody can tell.
func (d *Deliveries) Begun(sink string) bool { return d.all || slices.Contains(d.names, sink) }

// Names reports whether the log names a sink.
func (d *Deliveries) Names(sink string) bool { return slices.Contains(d.names, sink) }

// deliveries reads it from the segment that the last checkpoint is about, since whatever
// comes after that somebody else may have written.
func deliveries(dir string, p *past, marks *checkpoints) Deliveries {
	d := Deliveries{Replica: p.replica}
	last := marks.last
	switch {
	case last == nil && p.trouble == "": // there is nothing, or the beginning of a first segment
		return d
	case p.trouble != "" || last == nil || !marks.believes(last):
		return d.unknown(&p.header)
	}
	signed := p
	if last.Segment != p.segmentWithLines {
		var err error
		if signed, err = readSegment(filepath.Join(dir, SegmentFile(last.Segment)), last.Segment, last); err != nil || signed.trouble != "" || signed.lines < last.Lines {
			return d.unknown(&p.header)
		}
	}
	d.Unsigned = signed.header.Sinks == nil
	if !d.Unsigned {
		d.names = union([]string{}, *signed.header.Sinks)
	}
	return d
}

// Whoever can write lines can name sinks. The names are kept for good, so that they must
// not become many.
const (
	mostNames   = 1000
	longestName = 63
)

// unknown is of a log that was changed. Nobody can have it pass for an old one by that.
func (d Deliveries) unknown(h *chain.Header) Deliveries {
	d.all, d.names = true, []string{}
	if h.Sinks != nil {
		d.names = slices.DeleteFunc(slices.Clone(*h.Sinks), func(name string) bool { return len(name) > longestName })
		d.names = union(d.names[:min(len(d.names), mostNames)], nil)
	}
	return d
}

// union is all names once, in order; nil only of two that are nil.
func union(a, b []string) []string {
	if a == nil && b == nil {
		return nil
	}
	out := slices.Concat([]string{}, a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// nameSinks returns what the first line of a segment says of sinks. A name stays for good,
// so that nobody who takes a sink away for a while takes its place away too.
func (l *Ledger) nameSinks() *[]string {
	if l.o.Sinks != nil {
		l.sinks = union(l.sinks, append([]string{}, l.o.Sinks()...))
	}
	if l.sinks == nil {
		return nil
	}
	return &l.sinks
}

// Deliveries returns what the log knew of sinks when it was opened.
func (l *Ledger) Deliveries() Deliveries { return l.before }

// Turn has a new segment begun soon, whose first line names the sinks that there are now.
// It may be called from any goroutine.
func (l *Ledger) Turn() {
	l.turned.Store(true)
	select {
	case l.spool.wake <- struct{}{}:
	default: // it knows
	}
}
