package deliver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	regular "github.com/sallyport/sallyport/internal/audit/folder"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// reader reads lines of a directory that somebody else writes, from a position
// on. It reads what is there; a line that has no end yet is left for later.
type reader struct {
	dir  string
	last func() uint64 // see segments
	at   Position
	file *os.File // of at.Segment
	buf  []byte
}

const (
	chunk   = 256 << 10
	maxLine = 64 << 20
)

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close() // it is only read
		r.file = nil
	}
}

// seek goes to another position.
func (r *reader) seek(p Position) {
	if r.file != nil && p.Segment != r.at.Segment {
		r.close()
	}
	r.at = p
}

// lines returns the whole lines from the position on, up to about size bytes
// and n lines, all of one segment, and moves behind them. They are valid until
// the next call.
func (r *reader) lines(n, size int) ([]raw, error) {
	if r.file != nil { // most often there is more in the segment
		if out, err := r.read(n, size); err != nil || len(out) > 0 {
			return out, err
		}
	}
	for {
		numbers, err := segments(r.dir, r.last) // before reading: what a segment gets after the next one began, nobody writes
		if err != nil {
			return nil, err
		}
		ok, err := r.open(numbers)
		if err != nil || !ok {
			return nil, err
		}
		out, err := r.read(n, size)
		if err != nil || len(out) > 0 {
			return out, err
		}
		i := slices.IndexFunc(numbers, func(n uint64) bool { return n > r.at.Segment })
		if i < 0 {
			return nil, nil
		}
		next := r.at
		next.Segment, next.Offset = numbers[i], 0
		r.seek(next)
	}
}

// open opens the segment of the position, or the first one after it that is
// there.
func (r *reader) open(numbers []uint64) (ok bool, err error) {
	if r.file != nil {
		return true, nil
	}
	for _, n := range numbers {
		if n < r.at.Segment {
			continue
		}
		f, err := regular.Open(filepath.Join(r.dir, ledger.SegmentFile(n)))
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just been removed
		}
		if err != nil {
			return false, fmt.Errorf("deliver: %w", err)
		}
		if n != r.at.Segment {
			r.at.Segment, r.at.Offset = n, 0
		}
		r.file = f
		return true, nil
	}
	return false, nil
}

// raw is a line without its end, and where the next one begins.
type raw struct {
	text []byte
	end  int64
}

func (r *reader) read(n, size int) ([]raw, error) {
	want := min(max(size, chunk), 8<<20)
	for {
		if cap(r.buf) < want {
			r.buf = make([]byte, want)
		}
		b := r.buf[:want]
		got, err := r.file.ReadAt(b, r.at.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("deliver: %w", err)
		}
		b = b[:got]
		if bytes.IndexByte(b, '\n') < 0 {
			if got < want {
				return nil, nil
			}
			if want *= 2; want > maxLine {
				return nil, fmt.Errorf("deliver: %s: a line is longer than any receipt", r.file.Name())
			}
			continue
		}
		var out []raw
		used := 0
		for len(out) < n && used < size {
			i := bytes.IndexByte(b[used:], '\n')
			if i < 0 {
				break
			}
			out = append(out, raw{b[used : used+i], r.at.Offset + int64(used+i) + 1})
			used += i + 1
		}
		r.at.Offset = out[len(out)-1].end
		return out, nil
	}
}

// checkpointLines returns whole lines of the checkpoints from an offset on.
func checkpointLines(dir string, from int64, n int) ([]raw, error) {
	f, err := regular.Open(filepath.Join(dir, ledger.CheckpointFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	defer f.Close()
	b := make([]byte, chunk)
	got, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	b = b[:got]
	var out []raw
	used := 0
	for len(out) < n {
		i := bytes.IndexByte(b[used:], '\n')
		if i < 0 {
			break
		}
		out = append(out, raw{b[used : used+i], from + int64(used+i) + 1})
		used += i + 1
	}
	return out, nil
}
