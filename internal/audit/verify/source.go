package verify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// source is a file that receipts are read from.
type source struct {
	path  string
	named bool // by the reader, and not found in a directory that others write
}

// segmentOf is the file of a segment of a directory.
func segmentOf(dir string, n uint64) source {
	return source{path: filepath.Join(dir, ledger.SegmentFile(n))}
}

// sources are the segments of a directory, or the file that path names.
func sources(path string) ([]source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if !info.IsDir() {
		return []source{{path, true}}, nil
	}
	numbers, err := ledger.Segments(path)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("verify: %s holds no receipt segments", path)
	}
	files := make([]source, len(numbers))
	for i, n := range numbers {
		files[i] = segmentOf(path, n)
		if info, err := os.Lstat(files[i].path); err == nil && !info.Mode().IsRegular() { // before anything of the others is said
			return nil, fmt.Errorf("verify: %s: %w", files[i].path, folder.ErrIrregular)
		}
	}
	return files, nil
}

func (s source) name() string { return filepath.Base(s.path) }

func (s source) open() (f *os.File, err error) {
	if s.named {
		f, err = folder.Named(s.path)
	} else {
		f, err = folder.Open(s.path)
	}
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return f, nil
}

// eachLine calls f with each whole line of a file, numbered from 1.
func eachLine(s source, f func(n uint64, line []byte) (more bool, err error)) error {
	file, err := s.open()
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<18)
	for n := uint64(1); ; n++ {
		line, err := chain.ReadLine(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("verify: %s: %w", s.path, err)
		}
		if more, err := f(n, line); err != nil || !more {
			return err
		}
	}
}
