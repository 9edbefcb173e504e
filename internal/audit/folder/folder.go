// Package folder opens files that auditors read and others can write. Whoever can
// write a receipt directory must not keep a reader waiting for a pipe, have it read a
// device to its end, or lead it by a symbolic link to what is kept somewhere else.
package folder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrIrregular says that something is there in a file's place.
var ErrIrregular = errors.New("it is no regular file")

// Open opens a file that lies in a directory. A symbolic link is no file of it.
func Open(path string) (*os.File, error) { return open(path, syscall.O_NOFOLLOW) }

// Named opens a file that the reader named, whose links are the reader's own.
func Named(path string) (*os.File, error) { return open(path, 0) }

// open looks at what it opened and not at what was there before, which can be replaced.
func open(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a link, or a socket
			return nil, fmt.Errorf("folder: %s: %w", path, ErrIrregular)
		}
		return nil, fmt.Errorf("folder: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("folder: %s: %w", path, ErrIrregular)
	}
	return f, nil
}

// Read reads a file that lies in a directory.
func Read(path string) ([]byte, error) { return read(Open(path)) }

// ReadNamed reads a file that the reader named.
func ReadNamed(path string) ([]byte, error) { return read(Named(path)) }

func read(f *os.File, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("folder: %w", err)
	}
	return text, nil
}
