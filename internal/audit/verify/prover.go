package verify

import (
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// Prover makes proofs of many receipts of one directory. Each segment is read
// once, where they are asked for in order.
type Prover struct {
	dir   string
	marks []mark
	at    *mark // whose tree is in memory
	tree  chain.Levels
	lines []place
	index map[uint64]int // of receipts in lines
}

// place is where a line lies in its segment's file.
type place struct {
	hash        chain.Hash
	begin, size int64
}

// NewProver returns a prover for what the checkpoints of a directory cover now.
func NewProver(dir string) (*Prover, error) {
	marks, err := loadMarks(dir)
	if err != nil {
		return nil, err
	}
	return &Prover{dir: dir, marks: marks}, nil
}

// Prove makes the proof of receipt seq, as the function of that name does.
func (p *Prover) Prove(seq uint64) (*Proof, error) {
	m := covering(p.marks, seq)
	if m == nil {
		return nil, ErrNotThere
	}
	if m != p.at {
		if err := p.read(m); err != nil {
			return nil, err
		}
	}
	i, ok := p.index[seq]
	if !ok {
		return nil, ErrNotThere
	}
	text, err := p.text(m, p.lines[i])
	if err != nil {
		return nil, err
	}
	var before chain.Hash
	if i > 0 {
		before = p.lines[i-1].hash
	}
	return &Proof{Version: 1, Receipt: text, Previous: &before, Index: uint64(i), Path: p.tree.Inclusion(i), Checkpoint: string(m.text)}, nil
}

// covering returns the last checkpoint of the first segment that reaches the
// receipt.
func covering(marks []mark, seq uint64) (m *mark) {
	for i := range marks {
		if seq > 0 && marks[i].Seq >= seq && (m == nil || marks[i].Segment == m.Segment) {
			m = &marks[i]
		}
	}
	return m
}

func (p *Prover) read(m *mark) error {
	p.at, p.lines, p.index = nil, nil, make(map[uint64]int)
	var hashes []chain.Hash
	var off int64
	err := eachLine(segmentOf(p.dir, m.Segment), func(n uint64, text []byte) (bool, error) {
		l, err := chain.Parse(text)
		if err != nil {
			return false, fmt.Errorf("verify: %s:%d: %w", ledger.SegmentFile(m.Segment), n, err)
		}
		if l.Record == "" {
			p.index[l.Seq] = len(p.lines)
		}
		p.lines = append(p.lines, place{l.Hash, off, int64(len(text))})
		hashes = append(hashes, l.Hash)
		off += int64(len(text)) + 1
		return n < m.Lines, nil
	})
	if err == nil && uint64(len(p.lines)) < m.Lines {
		err = fmt.Errorf("verify: %s has %d lines and had %d", ledger.SegmentFile(m.Segment), len(p.lines), m.Lines)
	}
	if err != nil {
		return err
	}
	p.at, p.tree = m, chain.NewLevels(hashes)
	return nil
}

func (p *Prover) text(m *mark, at place) (string, error) {
	f, err := segmentOf(p.dir, m.Segment).open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, at.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, at.begin, at.size), b); err != nil {
		return "", fmt.Errorf("verify: %w", err)
	}
	return string(b), nil
}
