package deliver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// folder is where a sink keeps what it remembers. Whoever can write the receipt directory
// can put links and pipes there: nothing outside of the folder is read or written, and
// nobody waits for a pipe.
type folder struct{ *os.Root }

// openFolder opens a sink's folder, and makes it where there is none.
func openFolder(directory, sink string) (folder, error) {
	all, err := os.OpenRoot(directory)
	if err != nil {
		return folder{}, fmt.Errorf("deliver: %w", err)
	}
	defer all.Close()
	if err := all.MkdirAll("sinks/"+sink, 0o700); err != nil {
		return folder{}, fmt.Errorf("deliver: %w", err)
	}
	return below(all, sink)
}

// findFolder opens a sink's folder that is there.
func findFolder(directory, sink string) (folder, error) {
	all, err := os.OpenRoot(directory)
	if err != nil {
		return folder{}, fmt.Errorf("deliver: %w", err)
	}
	defer all.Close()
	return below(all, sink)
}

func below(all *os.Root, sink string) (folder, error) {
	root, err := all.OpenRoot("sinks/" + sink)
	if err != nil {
		return folder{}, fmt.Errorf("deliver: %w", err)
	}
	return folder{root}, nil
}

// open opens a file.
func (f folder) open(name string, flag int) (*os.File, error) {
	file, err := f.OpenFile(name, flag|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, fmt.Errorf("deliver: %s is no regular file", name)
	}
	return file, nil
}

// read reads a file that is no larger than limit.
func (f folder) read(name string, limit int64) ([]byte, error) {
	file, err := f.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("deliver: %s is larger than the gateway makes it", name)
	}
	return text, nil
}

// replace replaces a file as a whole, so that a killed process leaves the old one or the
// new one.
func (f folder) replace(name string, text []byte) error {
	tmp := name + ".new"
	if err := f.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("deliver: %w", err)
	}
	file, err := f.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = f.Rename(tmp, name)
	}
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	return nil
}
