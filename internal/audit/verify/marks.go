package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// mark is one checkpoint of a directory, with its place.
type mark struct {
	*chain.Checkpoint
	line uint64
	text []byte
}

// readMarks reads and checks the checkpoints by themselves.
func (v *verifier) readMarks() ([]mark, error) {
	all, err := folder.Read(filepath.Join(v.dir, ledger.CheckpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		v.found(Finding{Kind: Missing, File: ledger.CheckpointFile, Message: "there are no checkpoints"})
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	var (
		out      []mark
		n        uint64
		number   uint64
		previous chain.Hash
	)
	for line := range bytes.Lines(all) {
		n++
		at := Finding{File: ledger.CheckpointFile, Line: n}
		whole := line[len(line)-1] == '\n'
		if !whole {
			at.Kind, at.Message = Torn, "the last checkpoint has no end"
			v.found(at)
			break
		}
		line = line[:len(line)-1]
		c, err := chain.ParseCheckpoint(line)
		if err != nil {
			at.Kind, at.Message = Altered, "this "+err.Error()
			v.found(at)
			number, previous = number+1, chain.LineHash(line)
			continue
		}
		v.link(at, c, number, previous)
		number, previous = c.Number, chain.LineHash(line)
		v.signature(at, c)
		out = append(out, mark{c, n, line})
	}
	v.report.Checkpoints = len(out)
	if n == 0 {
		v.found(Finding{Kind: Missing, File: ledger.CheckpointFile, Message: "there are no checkpoints"})
	}
	return out, nil
}

// link checks that c comes after the checkpoint before it.
func (v *verifier) link(at Finding, c *chain.Checkpoint, number uint64, previous chain.Hash) {
	at.Seq = c.Seq
	switch {
	case c.Number > number+1:
		at.Kind, at.Message = Missing, fmt.Sprintf("checkpoint %d comes after %d", c.Number, number)
	case c.Number <= number:
		at.Kind, at.Message = Reordered, fmt.Sprintf("checkpoint %d comes after %d", c.Number, number)
	case c.Previous != previous:
		at.Kind, at.Message = Altered, fmt.Sprintf("checkpoint %d names another one before it", c.Number)
	default:
		return
	}
	v.found(at)
}

// signature checks c against the keys.
func (v *verifier) signature(at Finding, c *chain.Checkpoint) {
	at.Seq = c.Seq
	if len(v.keys) == 0 {
		return
	}
	switch pub, known := v.keys[c.Key]; {
	case !known:
		at.Kind, at.Message = Unsigned, fmt.Sprintf("checkpoint %d is signed with key %s, which is none of those given", c.Number, c.Key)
	case !c.Signed(pub):
		at.Kind, at.Message = Forged, fmt.Sprintf("the signature of checkpoint %d is not one of key %s", c.Number, c.Key)
	default:
		return
	}
	v.badSignature = true
	v.found(at)
}

// readPublished holds the copy of the checkpoints against the directory's.
func (v *verifier) readPublished(path string, own []mark) error {
	all, err := folder.ReadNamed(path)
	if err != nil {
		return fmt.Errorf("verify: published checkpoints: %w", err)
	}
	byNumber := make(map[uint64]mark, len(own))
	for _, m := range own {
		byNumber[m.Number] = m
	}
	var n uint64
	whole := 0
	for line := range bytes.Lines(all) {
		n++
		line = bytes.TrimSuffix(line, []byte("\n"))
		at := Finding{File: path, Line: n}
		c, err := chain.ParseCheckpoint(line)
		if err != nil {
			if !half(line, own) {
				at.Kind, at.Message = Altered, "this "+err.Error()
				v.found(at)
			}
			continue
		}
		whole++
		at.Seq = c.Seq
		v.signature(at, c)
		m, here := byNumber[c.Number]
		switch {
		case !here:
			at.Kind, at.Message = Truncated, fmt.Sprintf("checkpoint %d was published and is not in the directory: it said that segment %d had %d lines", c.Number, c.Segment, c.Lines)
		case !bytes.Equal(m.text, line):
			at.Kind, at.Message = Forged, fmt.Sprintf("checkpoint %d in the directory is not the one that was published", c.Number)
		default:
			continue
		}
		v.found(at)
	}
	v.report.Published = fmt.Sprintf("%d of %d checkpoints", whole, len(own))
	return nil
}

// half reports whether line is what a failed write left of a checkpoint.
func half(line []byte, own []mark) bool {
	for _, m := range own {
		if len(line) > 0 && bytes.HasPrefix(m.text, line) {
			return true
		}
	}
	return len(line) == 0
}
