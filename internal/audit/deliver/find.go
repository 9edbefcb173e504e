package deliver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	regular "github.com/sallyport/sallyport/internal/audit/folder"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// since returns the place before the first receipt that was made at a time or
// later, and the end if there is none. A segment's lines are not older than the
// end of the one before it, so that only the first that may hold it is read.
func since(dir string, from time.Time, writes func() uint64) (Position, error) {
	var p Position
	numbers, err := segments(dir, writes)
	if err != nil {
		return p, err
	}
	first := 0
	for i, n := range numbers {
		began, err := segmentBegan(filepath.Join(dir, ledger.SegmentFile(n)))
		if err != nil {
			return p, err
		}
		if !began.IsZero() && !began.After(from) {
			first = i
		}
	}
	r := reader{dir: dir, last: writes}
	defer r.close()
	found := false
	for i := first; i < len(numbers) && !found; i++ {
		p.Segment, p.Offset = numbers[i], 0
		r.seek(Position{Segment: numbers[i]})
		for r.at.Segment == numbers[i] && !found {
			lines, err := r.lines(10_000, 1<<20)
			if err != nil {
				return p, err
			}
			if len(lines) == 0 || r.at.Segment != numbers[i] {
				break
			}
			for _, l := range lines {
				it, err := newItem(l.text, Position{})
				if err == nil {
					if it.Kind == Receipt && !it.Time.Before(from) {
						p.Seq, found = it.Seq-1, true
						break
					}
					p.Seq = it.Seq // a record says which receipt is before it
				}
				p.Offset = l.end
			}
		}
	}
	p.Checkpoints, err = checkpointsSince(dir, from)
	return p, err
}

// end returns the place behind all whole lines.
func end(dir string, writes func() uint64) (Position, error) {
	return since(dir, time.Unix(1<<40, 0), writes)
}

// segments returns the numbers of the segments up to the one that is written. Whoever can
// write the directory can put one behind it: a sink that read on there would never come
// back to what is written. writes is nil where nobody writes.
func segments(dir string, writes func() uint64) ([]uint64, error) {
	last := uint64(math.MaxUint64)
	if writes != nil {
		last = writes() // before looking: the next one is there before it is written
	}
	numbers, err := ledger.Segments(dir)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(numbers, func(n uint64) bool { return n > last }), nil
}

func segmentBegan(path string) (time.Time, error) {
	f, err := regular.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("deliver: %w", err)
	}
	defer f.Close()
	line, err := chain.ReadLine(bufio.NewReader(f))
	if err != nil {
		if errors.Is(err, io.EOF) {
			return time.Time{}, nil
		}
		return time.Time{}, fmt.Errorf("deliver: %s: %w", path, err)
	}
	return timeOf(line), nil
}

func checkpointsSince(dir string, from time.Time) (int64, error) {
	var off int64
	for {
		lines, err := checkpointLines(dir, off, 1000)
		if err != nil || len(lines) == 0 {
			return off, err
		}
		for _, l := range lines {
			if c, err := chain.ParseCheckpoint(l.text); err == nil && !c.Time.Before(from) {
				return off, nil
			}
			off = l.end
		}
	}
}

// lastSegment returns the number of the last segment; 0 for none.
func lastSegment(dir string) (uint64, error) {
	numbers, err := ledger.Segments(dir)
	if err != nil || len(numbers) == 0 {
		return 0, err
	}
	return numbers[len(numbers)-1], nil
}
