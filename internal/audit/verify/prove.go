package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/mcp"
)

// Proof shows that one receipt is in a replica's chain, without the others.
// With Older, it also shows that what an earlier checkpoint was about has only
// been added to since.
type Proof struct {
	Version    int          `json:"v"`
	Receipt    string       `json:"receipt,omitempty"` // the line, byte for byte
	Previous   *chain.Hash  `json:"previous,omitempty"`
	Index      uint64       `json:"index"` // of the line in its segment, from 0
	Path       []chain.Hash `json:"path,omitempty"`
	Checkpoint string       `json:"checkpoint"`
	Older      string       `json:"older,omitempty"`
	Growth     []chain.Hash `json:"growth,omitempty"`  // from Older, if it is about the same segment
	Between    []string     `json:"between,omitempty"` // checkpoints from Older to Checkpoint, if it is not
}

// ErrNotThere means that what was asked for is not in the directory, or not
// under any checkpoint yet.
var ErrNotThere = errors.New("verify: there is no such receipt or checkpoint")

// segmentLines are the lines of one segment, by hash.
type segmentLines struct {
	hashes []chain.Hash
	found  int // index of the line looked for, or -1
	line   []byte
	before chain.Hash
}

// readLines reads a segment up to a number of lines, and keeps the one with
// receipt seq.
func readLines(dir string, segment, upTo, seq uint64) (*segmentLines, error) {
	out := &segmentLines{found: -1}
	err := eachLine(segmentOf(dir, segment), func(n uint64, text []byte) (more bool, err error) {
		l, err := chain.Parse(text)
		if err != nil {
			return false, fmt.Errorf("verify: %s:%d: %w", ledger.SegmentFile(segment), n, err)
		}
		if l.Record == "" && l.Seq == seq {
			out.found, out.line = len(out.hashes), bytes.Clone(text)
			if n > 1 {
				out.before = out.hashes[n-2]
			}
		}
		out.hashes = append(out.hashes, l.Hash)
		return n < upTo, nil
	})
	if err == nil && uint64(len(out.hashes)) < upTo {
		err = fmt.Errorf("verify: %s has %d lines and had %d", ledger.SegmentFile(segment), len(out.hashes), upTo)
	}
	return out, err
}

// Prove makes the proof of a receipt.
func Prove(dir string, seq uint64) (*Proof, error) {
	marks, err := loadMarks(dir)
	if err != nil {
		return nil, err
	}
	m := covering(marks, seq)
	if m == nil {
		return nil, notUnder(marks, seq)
	}
	s, err := readLines(dir, m.Segment, m.Lines, seq)
	if err != nil {
		return nil, err
	}
	if s.found < 0 {
		return nil, fmt.Errorf("%w: receipt %d", ErrNotThere, seq)
	}
	return &Proof{
		Version: 1, Receipt: string(s.line), Previous: &s.before, Index: uint64(s.found),
		Path: chain.Inclusion(s.hashes, s.found), Checkpoint: string(m.text),
	}, nil
}

// notUnder says that no checkpoint covers receipt seq.
func notUnder(marks []mark, seq uint64) error {
	last := uint64(0)
	for i := range marks {
		last = max(last, marks[i].Seq)
	}
	return fmt.Errorf("%w: receipt %d; checkpoints cover those up to %d", ErrNotThere, seq, last)
}

// ProveGrowth makes the proof that checkpoint to goes on from checkpoint from.
func ProveGrowth(dir string, from, to uint64) (*Proof, error) {
	marks, err := loadMarks(dir)
	if err != nil {
		return nil, err
	}
	p := &Proof{Version: 1}
	var a, b *mark
	for i := range marks {
		m := &marks[i]
		switch {
		case m.Number == from:
			a = m
		case m.Number > from && m.Number < to:
			p.Between = append(p.Between, string(m.text))
		case m.Number == to:
			b = m
		}
	}
	if a == nil || b == nil || from >= to {
		return nil, fmt.Errorf("%w: checkpoints %d and, later, %d, of %d", ErrNotThere, from, to, len(marks))
	}
	p.Older, p.Checkpoint = string(a.text), string(b.text)
	if a.Segment != b.Segment {
		return p, nil
	}
	p.Between = nil
	s, err := readLines(dir, b.Segment, b.Lines, 0)
	if err != nil {
		return nil, err
	}
	p.Growth = chain.Consistency(s.hashes, int(a.Lines))
	return p, nil
}

// Check returns why p does not prove what it says, or nil. Without keys the
// signatures count for nothing and are not checked.
func (p *Proof) Check(keys chain.Keys) error {
	c, err := signed(p.Checkpoint, keys)
	if err != nil {
		return err
	}
	if p.Version != 1 || p.Receipt == "" && p.Older == "" {
		return errors.New("verify: the proof is about nothing")
	}
	if p.Receipt != "" {
		if err := p.included(c); err != nil {
			return err
		}
	}
	if p.Older == "" {
		return nil
	}
	return p.grown(c, keys)
}

func (p *Proof) included(c *chain.Checkpoint) error {
	l, err := chain.Parse([]byte(p.Receipt))
	switch {
	case err != nil || l.Record != "":
		return errors.New("verify: the line is not one of a receipt")
	case p.Previous == nil || chain.NewHasher().Line(*p.Previous, l.Text) != l.Hash:
		return errors.New("verify: the line is not as it was written")
	case l.Replica != c.Replica:
		return errors.New("verify: receipt and checkpoint are of two replicas")
	case !chain.Included(l.Hash, p.Index, c.Lines, p.Path, c.Root):
		return fmt.Errorf("verify: the line is not line %d of what checkpoint %d was signed for", p.Index+1, c.Number)
	}
	return nil
}

func (p *Proof) grown(c *chain.Checkpoint, keys chain.Keys) error {
	old, err := signed(p.Older, keys)
	if err != nil {
		return err
	}
	if old.Segment == c.Segment {
		if old.Replica != c.Replica || !chain.Consistent(old.Lines, c.Lines, p.Growth, old.Root, c.Root) {
			return fmt.Errorf("verify: checkpoint %d does not go on from checkpoint %d", c.Number, old.Number)
		}
		return nil
	}
	previous, text := old, p.Older
	for _, t := range append(append([]string(nil), p.Between...), p.Checkpoint) {
		next, err := signed(t, keys)
		if err != nil {
			return err
		}
		if next.Replica != previous.Replica || next.Number != previous.Number+1 || next.Previous != chain.LineHash([]byte(text)) || next.Seq < previous.Seq {
			return fmt.Errorf("verify: checkpoint %d does not go on from checkpoint %d", next.Number, previous.Number)
		}
		previous, text = next, t
	}
	return nil
}

func signed(text string, keys chain.Keys) (*chain.Checkpoint, error) {
	c, err := chain.ParseCheckpoint([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("verify: the checkpoint %w", err)
	}
	if len(keys) == 0 {
		return c, nil
	}
	pub, known := keys[c.Key]
	if !known {
		return nil, fmt.Errorf("verify: checkpoint %d is signed with key %s, which is none of those given", c.Number, c.Key)
	}
	if !c.Signed(pub) {
		return nil, fmt.Errorf("verify: the signature of checkpoint %d is not one of key %s", c.Number, c.Key)
	}
	return c, nil
}

// ParseProof reads a proof.
func ParseProof(text []byte) (*Proof, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	p := new(Proof)
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("verify: proof: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("verify: proof: something follows it")
	}
	seen := make(map[string]bool)
	for name := range mcp.Members(text) {
		if name != strings.ToLower(name) || seen[name] { // another reader would take it for something else
			return nil, fmt.Errorf("verify: proof: %q stands there twice, or in other letters", name)
		}
		seen[name] = true
	}
	return p, nil
}

// loadMarks reads the checkpoints, and checks nothing but their form.
func loadMarks(dir string) ([]mark, error) {
	all, err := folder.Read(filepath.Join(dir, ledger.CheckpointFile))
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	var out []mark
	for line := range bytes.Lines(all) {
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		c, err := chain.ParseCheckpoint(text)
		if !whole || err != nil {
			continue // Directory tells
		}
		out = append(out, mark{c, uint64(len(out) + 1), text})
	}
	return out, nil
}
