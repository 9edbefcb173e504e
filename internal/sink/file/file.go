// Package file writes receipts as lines to a file, with rotation, or to a stream
// such as standard output.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// Options say where lines go.
type Options struct {
	Path   string
	Stream io.Writer // instead of Path
	Size   int64     // a file is put aside when it is larger
	Keep   int       // so many files that were put aside: Path.1 is the newest
}

// Sink writes lines.
type Sink struct {
	o    Options
	file *os.File
	off  int64
	buf  []byte
}

// Open begins to write. Half a line, which a killed gateway may have left, is
// cut off: its receipt comes again.
func Open(o Options) (*Sink, error) {
	s := &Sink{o: o}
	if o.Stream != nil {
		return s, nil
	}
	err := s.open()
	return s, err
}

func (s *Sink) open() error {
	f, err := os.OpenFile(s.o.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	off, err := whole(f)
	if err == nil {
		err = f.Truncate(off)
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("file: %s: %w", s.o.Path, err)
	}
	s.file, s.off = f, off
	return nil
}

// whole returns where the last line that has an end ends.
func whole(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("is no regular file")
	}
	b := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		n := min(int64(len(b)), end)
		if _, err := f.ReadAt(b[:n], end-n); err != nil {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if b[i] == '\n' {
				return end - n + i + 1, nil
			}
		}
		end -= n
	}
	return 0, nil
}

// Deliver implements deliver.Sink. What it says is taken is on the disk.
func (s *Sink) Deliver(_ context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	s.buf = s.buf[:0]
	for _, it := range items {
		s.buf = append(append(s.buf, it.Body...), '\n')
	}
	var out deliver.Outcome
	if s.o.Stream != nil {
		if _, err := s.o.Stream.Write(s.buf); err != nil {
			return out, fmt.Errorf("file: %w", err)
		}
		return out, nil
	}
	if err := s.still(); err != nil {
		return out, err
	}
	if s.off > 0 && s.off+int64(len(s.buf)) > s.o.Size {
		if err := s.rotate(); err != nil {
			return out, err
		}
	}
	_, err := s.file.WriteAt(s.buf, s.off)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return out, errors.Join(fmt.Errorf("file: %w", err), s.file.Truncate(s.off))
	}
	s.off += int64(len(s.buf))
	return out, nil
}

// still has the sink write to the file that is at its path: what goes into one that
// somebody moved, removed or cut is not delivered to whoever reads the path.
func (s *Sink) still() error {
	have, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	at, err := os.Stat(s.o.Path)
	if err == nil && os.SameFile(have, at) && at.Size() >= s.off {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("file: %w", err)
	}
	old := s.file
	if err := s.open(); err != nil {
		return err
	}
	_ = old.Close() // all that was written is synced
	return nil
}

// rotate puts the file aside and begins a new one.
func (s *Sink) rotate() error {
	for i := s.o.Keep; i > 0; i-- {
		from := s.o.Path
		if i > 1 {
			from += "." + strconv.Itoa(i-1)
		}
		if err := os.Rename(from, s.o.Path+"."+strconv.Itoa(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("file: rotate: %w", err)
		}
	}
	old := s.file
	if err := s.open(); err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("file: rotate: %w", err)
	}
	return nil
}

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
