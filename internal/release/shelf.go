package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Shelf keeps bundles and state in a folder, for the next start. Archives are
// verified again when they are read, so that whoever can write the folder can
// choose among bundles that were signed, and no more.
type Shelf struct {
	Dir  string
	lock *os.File
}

const stateFile = "state.json"

// Load returns what was saved; an empty state where nothing was.
func (s *Shelf) Load() (State, error) {
	data, err := os.ReadFile(filepath.Join(s.Dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	var state State
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err != nil {
		return State{}, fmt.Errorf("release: store: %w", err)
	}
	return state, nil
}

// Archive returns a kept archive.
func (s *Shelf) Archive(sum string) ([]byte, error) {
	if !isSum(sum) {
		return nil, fmt.Errorf("release: store: %q names no archive", sum)
	}
	return readArchive(s.file(sum))
}

func (s *Shelf) file(sum string) string { return filepath.Join(s.Dir, sum+suffix) }

const suffix = ".tar.gz"

func isSum(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// hold makes the folder, and sees to it that no other process writes it.
func (s *Shelf) hold() error {
	if s.lock != nil {
		return nil
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return fmt.Errorf("%s is another gateway's", s.Dir)
	}
	s.lock = f
	return nil
}

// Close lets another process have the folder.
func (s *Shelf) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// Save writes state and the archives that it names, and removes the others.
func (s *Shelf) Save(state State, archives map[string][]byte) error {
	if err := s.save(state, archives); err != nil {
		return fmt.Errorf("release: store: %w", err)
	}
	return nil
}

func (s *Shelf) save(state State, archives map[string][]byte) error {
	if err := s.hold(); err != nil {
		return err
	}
	for sum, data := range archives {
		if _, err := os.Stat(s.file(sum)); err == nil {
			continue
		}
		if err := s.write(sum+suffix, data); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := s.write(stateFile, append(text, '\n')); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(s.Dir, "*"+suffix))
	if err != nil {
		return err
	}
	for _, name := range names {
		sum := strings.TrimSuffix(filepath.Base(name), suffix)
		if _, wanted := archives[sum]; !wanted && isSum(sum) {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// write replaces a file in one step.
func (s *Shelf) write(name string, data []byte) (err error) {
	tmp, err := os.CreateTemp(s.Dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(s.Dir, name))
}

// Save writes what the keeper must remember to a shelf, if that has changed.
func (k *Keeper) Save(to *Shelf) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.dirty || to == nil {
		return nil
	}
	err := to.Save(k.remembered())
	k.dirty = err != nil
	return err
}
