package verify

import "github.com/sallyport/sallyport/internal/audit/chain"

// Line is one line of a directory while that is verified. It is valid until the
// function that it is shown to returns.
type Line struct {
	Place
	Text  []byte
	Chain *chain.Line // nil where it is no line of a segment

	of     *shown
	before chain.Hash
}

// Prove has f called with the proof of a receipt when its segment is read, if a
// checkpoint covers it.
func (l *Line) Prove(f func(*Proof)) {
	if l.Chain != nil && l.Chain.Record == "" {
		l.of.asked = append(l.of.asked, asked{f, string(l.Text), l.before, l.Chain.Seq, len(l.of.hashes) - 1})
	}
}

// shown is what proofs of lines that were shown are made of.
type shown struct {
	hashes []chain.Hash
	broken uint64 // the first line that cannot be read, and no proof goes over it
	asked  []asked
}

type asked struct {
	f      func(*Proof)
	text   string
	before chain.Hash
	seq    uint64
	index  int
}

// show shows a line; the one before it stated the hash before.
func (s *reading) show(text []byte, l *chain.Line, before chain.Hash) error {
	n := s.tree.Size()
	var h chain.Hash
	switch {
	case l != nil:
		h = l.Hash
	case s.broken == 0:
		s.broken = n
	}
	s.hashes = append(s.hashes, h)
	if n == 1 {
		before = chain.Hash{}
	}
	return s.each(&Line{Place: Place{s.file, n}, Text: text, Chain: l, of: &s.shown, before: before})
}

// prove makes the proofs that were asked for.
func (s *reading) prove(marks []mark) {
	var tree chain.Levels
	for _, a := range s.asked {
		m := covering(marks, a.seq)
		if m == nil || m.Segment != s.number || m.Lines > uint64(len(s.hashes)) || uint64(a.index) >= m.Lines || s.broken > 0 && s.broken <= m.Lines {
			continue
		}
		if uint64(len(tree)) == 0 || uint64(len(tree[0])) != m.Lines {
			tree = chain.NewLevels(s.hashes[:m.Lines])
		}
		a.f(&Proof{Version: 1, Receipt: a.text, Previous: &a.before, Index: uint64(a.index), Path: tree.Inclusion(a.index), Checkpoint: string(m.text)})
	}
}
