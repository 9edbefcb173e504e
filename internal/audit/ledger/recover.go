package ledger

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
)

// past is how a directory was left.
type past struct {
	replica string
	segment uint64 // of the last file; 0 when there is none
	lines   uint64 // whole lines in it
	seq     uint64
	head    chain.Hash
	tree    *chain.Tree
	end     string // how it was ended in order; empty when it was not
	torn    int64  // bytes after the last line end
	tornSum chain.Hash
	trouble string
	header  chain.Header // of the last segment that has lines

	// The last segment that has lines, should that be an earlier one.
	segmentWithLines, linesThere uint64
}

// look reads how a directory was left: the last segment whole, and earlier ones
// where it has no lines. last is the last checkpoint, or nil.
func look(dir string, last *chain.Checkpoint) (*past, error) {
	numbers, err := Segments(dir)
	if err != nil {
		return nil, err
	}
	p := &past{}
	for i := len(numbers) - 1; i >= 0 && p.segmentWithLines == 0; i-- {
		got, err := readSegment(filepath.Join(dir, SegmentFile(numbers[i])), numbers[i], last)
		if err != nil {
			return nil, err
		}
		if i == len(numbers)-1 {
			*p = *got
		} else if got.lines > 0 {
			p.replica, p.seq, p.head, p.tree, p.header = got.replica, got.seq, got.head, got.tree, got.header
			p.trouble += got.trouble
		}
		if got.lines > 0 {
			p.segmentWithLines, p.linesThere = numbers[i], got.lines
		}
	}
	switch {
	case last == nil && (len(numbers) > 1 || p.lines > 1): // a segment that was begun has one at once
		p.trouble = "the checkpoints are missing"
	case last == nil:
	case p.segmentWithLines < last.Segment, p.segmentWithLines == last.Segment && p.linesThere < last.Lines:
		p.trouble = fmt.Sprintf("the directory ends before checkpoint %d, which is about %d lines of segment %d", last.Number, last.Lines, last.Segment)
		if p.replica == "" {
			p.replica = last.Replica
		}
	case p.replica != last.Replica:
		p.trouble = fmt.Sprintf("checkpoint %d is of another directory", last.Number)
	}
	if p.replica == "" {
		var b [chain.ReplicaLen / 2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("ledger: name the replica: %w", err)
		}
		p.replica = hex.EncodeToString(b[:])
	}
	return p, nil
}

// readSegment reads one segment for going on after it. What is wrong is told,
// and does not stop it: the next segment has to say so.
func readSegment(path string, number uint64, last *chain.Checkpoint) (*past, error) {
	f, err := folder.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer f.Close()
	h := chain.NewHasher()
	p := &past{segment: number, tree: chain.NewTree(h)}
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := chain.ReadLine(r)
		if errors.Is(err, io.EOF) {
			if p.torn = int64(len(line)); p.torn > 0 {
				p.tornSum = sha256.Sum256(line)
			}
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("ledger: %s: %w", path, err)
		}
		p.lines++
		l, err := chain.Parse(line)
		if p.lines == 1 {
			p.head, p.header = l.Before(), l.Header()
		}
		switch {
		case err != nil:
			p.trouble = fmt.Sprintf("line %d of segment %d cannot be read", p.lines, number)
			p.tree.Add(chain.LineHash(line))
			continue
		case h.Line(p.head, l.Text) != l.Hash:
			p.trouble = fmt.Sprintf("line %d of segment %d does not follow the one before it", p.lines, number)
		}
		p.replica, p.seq, p.head, p.end = l.Replica, l.Seq, l.Hash, ""
		if l.Record == chain.RecordEnd {
			var e chain.End
			if l.Members(&e) == nil {
				p.end = e.Why
			}
		}
		p.tree.Add(l.Hash)
		if last != nil && last.Segment == number && last.Lines == p.lines && p.tree.Root() != last.Root {
			p.trouble = fmt.Sprintf("segment %d is not what checkpoint %d says", number, last.Number)
		}
	}
}
