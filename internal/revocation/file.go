package revocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// kept is the content of the file.
type kept struct {
	Version   int       `json:"version"`
	Mark      Mark      `json:"mark,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
	Unsent    []string  `json:"unsent,omitempty"`
	Entries   []*Entry  `json:"revocations"`
}

// readFile returns nil when there is no file yet. A file that cannot be read is
// an error: beginning without it would let in whom it keeps out.
func readFile(path string) (*kept, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("revocation: %w", err)
	}
	k := new(kept)
	if err := json.Unmarshal(b, k); err != nil {
		return nil, fmt.Errorf("revocation: %s: %w", path, err)
	}
	if k.Version != 1 {
		return nil, fmt.Errorf("revocation: %s: version %d is not 1", path, k.Version)
	}
	for i, e := range k.Entries {
		if e == nil || e.Kind.index() < 0 || e.Value == "" {
			return nil, fmt.Errorf("revocation: %s: revocations[%d] is none", path, i)
		}
		e.identify()
	}
	return k, nil
}

// save writes the file, if there is to be one. It needs the lock.
func (l *List) save() error {
	if l.o.File == "" {
		return nil
	}
	k := kept{Version: 1, Mark: l.mark, Entries: make([]*Entry, 0, len(l.entries))}
	if at := l.confirmed.Load(); at != 0 {
		k.Confirmed = time.Unix(0, at).UTC()
	}
	for id := range l.unsent {
		k.Unsent = append(k.Unsent, id)
	}
	for _, e := range l.entries {
		k.Entries = append(k.Entries, e)
	}
	l.disk = writeFile(l.o.File, &k)
	return l.disk
}

// writeFile replaces the file in one step, so that a crash leaves the old or the
// new one.
func writeFile(path string, k *kept) error {
	b, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // with mode 0600
	if err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("revocation: %w", err)
	}
	return nil
}
