package catalog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/registry"
)

// store keeps one file per server in a folder. Processes that share the folder
// change a file one at a time, under a lock.
type store struct {
	dir  string
	read map[string]stamp // server -> the file as it was read last
}

type stamp struct {
	modified time.Time
	size     int64
}

// file is what a file holds.
type file struct {
	Version     int      `json:"version"`
	Server      string   `json:"server"`
	Definitions []Record `json:"definitions"`
}

const fileVersion = 1

// newStore returns the store in dir, which is made when there is something to
// keep.
func newStore(dir string) *store { return &store{dir: dir, read: make(map[string]stamp)} }

// changed calls visit with what each file holds that has changed since it was
// read, and with nothing for a file that is gone.
func (s *store) changed(visit func(server string, records []Record)) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("catalog: read: %w", err)
	}
	there := make(map[string]bool)
	var errs []error
	for _, e := range entries {
		server, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !registry.ValidName(server) {
			continue
		}
		there[server] = true
		records, fresh, err := s.load(server)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if fresh {
			visit(server, records)
		}
	}
	for server := range s.read {
		if !there[server] {
			delete(s.read, server)
			visit(server, nil)
		}
	}
	return errors.Join(errs...)
}

// load reads a server's file if it is not the one that was read last.
func (s *store) load(server string) (records []Record, fresh bool, err error) {
	path := s.path(server)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, had := s.read[server]
		delete(s.read, server)
		return nil, had, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("catalog: read: %w", err)
	}
	now := stamp{info.ModTime(), info.Size()}
	if s.read[server] == now {
		return nil, false, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("catalog: read: %w", err)
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, false, fmt.Errorf("catalog: read: %s: %w", path, err)
	}
	if f.Version != fileVersion || f.Server != server {
		return nil, false, fmt.Errorf("catalog: read: %s: is version %d of server %q; want version %d of %q", path, f.Version, f.Server, fileVersion, server)
	}
	for i := range f.Definitions {
		r := &f.Definitions[i]
		for _, form := range []*Form{r.Pinned, r.Offered} {
			if form == nil {
				continue
			}
			// The file is for people to look at, and a hash that does not fit
			// what they see would have them trust something else.
			if form.Definition, form.Hash, err = check(form); err != nil {
				return nil, false, fmt.Errorf("catalog: read: %s: %s %q: %w", path, r.Kind, r.Name, err)
			}
		}
	}
	s.read[server] = now
	return f.Definitions, true, nil
}

// update changes a server's file under the lock of the folder. change gets what
// the file holds if somebody else wrote it since.
func (s *store) update(server string, change func(records []Record, fresh bool) (now []Record, changed bool, err error)) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	records, fresh, err := s.load(server)
	if err != nil {
		return err
	}
	records, changed, err := change(records, fresh)
	if err != nil || !changed {
		return err
	}
	return s.write(server, records)
}

func (s *store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("catalog: lock: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("catalog: lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("catalog: lock: %w", err)
	}
	return func() { _ = f.Close() }, nil // which unlocks
}

// write replaces a file as a whole, so that nobody reads half of it.
func (s *store) write(server string, records []Record) error {
	slices.SortFunc(records, func(a, b Record) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(file{fileVersion, server, records}); err != nil {
		return fmt.Errorf("catalog: write: %w", err)
	}
	f, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("catalog: write: %w", err)
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path(server))
	}
	if err != nil {
		return fmt.Errorf("catalog: write: %w", errors.Join(err, os.Remove(f.Name())))
	}
	info, err := os.Stat(s.path(server))
	if err != nil {
		return fmt.Errorf("catalog: write: %w", err)
	}
	s.read[server] = stamp{info.ModTime(), info.Size()}
	return nil
}

func (s *store) path(server string) string { return filepath.Join(s.dir, server+".json") }

func list(p *page) []Record {
	out := make([]Record, 0, len(p.records))
	for _, r := range p.records {
		out = append(out, *r)
	}
	return out
}
