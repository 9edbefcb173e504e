package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Tail calls f with the last n wanted lines, and with those that come until ctx
// ends if follow is set.
func Tail(ctx context.Context, path string, want Filter, n int, follow bool, f func(line []byte) error) error {
	files, err := sources(path)
	if err != nil {
		return err
	}
	var (
		last [][]byte
		off  int64 // of the end of what was read of the last file
	)
	for _, file := range files {
		off = 0
		err := eachLine(file, func(_ uint64, line []byte) (bool, error) {
			off += int64(len(line)) + 1
			if n > 0 && want.wants(line) {
				if len(last) == n {
					last = last[1:]
				}
				last = append(last, bytes.Clone(line))
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	for _, line := range last {
		if err := f(line); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	return followFrom(ctx, path, files[len(files)-1], off, want, f)
}

// followFrom goes on from an offset of a file, into new segments too.
func followFrom(ctx context.Context, path string, current source, off int64, want Filter, f func(line []byte) error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for {
			files, err := sources(path) // before reading: what a segment gets after the next began, nobody writes
			if err != nil {
				return err
			}
			if off, err = newLines(current, off, want, f); err != nil {
				return err
			}
			next := following(files, current)
			if next == (source{}) {
				break
			}
			current, off = next, 0
		}
	}
}

func following(files []source, current source) source {
	for i, f := range files {
		if f == current && i+1 < len(files) {
			return files[i+1]
		}
	}
	return source{}
}

// maxTail is the longest line that is waited for, more or less.
const maxTail = 64 << 20

// newLines handles the whole lines from off on, and returns where they end.
func newLines(s source, off int64, want Filter, f func(line []byte) error) (int64, error) {
	file, err := s.open()
	if err != nil {
		return off, err
	}
	defer file.Close()
	for size := 1 << 20; ; {
		b := make([]byte, size)
		n, err := file.ReadAt(b, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return off, fmt.Errorf("verify: %w", err)
		}
		end := bytes.LastIndexByte(b[:n], '\n') + 1
		switch {
		case end == 0 && n == size && size <= maxTail: // a receipt can be larger, and must not be where looking ends
			size *= 2
			continue
		case end == 0 && n == size:
			return off, fmt.Errorf("verify: %s: a line is longer than any receipt", s.path)
		case end == 0:
			return off, nil
		}
		for line := range bytes.Lines(b[:end]) {
			if line = line[:len(line)-1]; want.wants(line) {
				if err := f(line); err != nil {
					return off, err
				}
			}
		}
		off += int64(end)
	}
}
