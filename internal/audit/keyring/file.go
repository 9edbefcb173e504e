package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// line is one key in the file. Whose it is, and since when, is wrapped with it:
// who reads the file learns how many keys there are.
type line struct {
	Version     int        `json:"v"`
	ID          string     `json:"id"`
	Kind        string     `json:"kind"`
	WrappedWith string     `json:"wrapped_with,omitempty"`
	Wrapped     []byte     `json:"wrapped,omitempty"`
	Destroyed   *time.Time `json:"destroyed,omitempty"` // in destroyedFile only
}

// content is what is wrapped.
type content struct {
	Owner   Owner     `json:"owner"`
	Created time.Time `json:"created"`
	Secret  []byte    `json:"secret"`
}

// about binds what is wrapped to its line, so that no line can pass for another.
func about(l *line) []byte { return []byte("sallyport receipts key v1\n" + l.Kind + "\n" + l.ID) }

// exclusively runs f while no other process or call reads or writes the files.
func (r *Ring) exclusively(f func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	lock, err := os.OpenFile(r.path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("keyring: lock: %w", err)
	}
	return f()
}

// load reads the files anew.
func (r *Ring) load(ctx context.Context) error {
	s := &state{}
	gone, err := os.ReadFile(r.path(destroyedFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keyring: %w", err)
	}
	s.buried = int64(len(gone))
	gone = gone[:bytes.LastIndexByte(gone, '\n')+1] // half a line is of a process that died before it destroyed anything
	for text := range bytes.Lines(gone) {
		var l line
		if json.Unmarshal(text, &l) != nil || l.ID == "" || l.Destroyed == nil {
			return fmt.Errorf("keyring: %s: a line cannot be read, so nobody knows which keys may be used", r.path(destroyedFile))
		}
		s.destroyed.Store(l.ID, *l.Destroyed)
	}
	if old := r.state.Load(); old != nil {
		old.destroyed.Range(func(id, at any) bool { s.destroyed.LoadOrStore(id, at); return true }) // files that were put back do not bring a key back
	}
	if err := r.readOn(ctx, s); err != nil {
		return err
	}
	r.state.Store(s)
	return nil
}

// catchUp reads what other processes added, or everything where they rewrote it.
func (r *Ring) catchUp(ctx context.Context) error {
	s := r.state.Load()
	info, err := os.Stat(r.path(keyFile))
	if err != nil || s.file == nil || !os.SameFile(info, s.file) || info.Size() < s.read || r.buried() != s.buried {
		return r.load(ctx)
	}
	return r.readOn(ctx, s)
}

// buried is how large the list of destroyed keys is: another process may have noted
// some, and not have come to rewriting the keys.
func (r *Ring) buried() int64 {
	info, err := os.Stat(r.path(destroyedFile))
	if err != nil {
		return 0
	}
	return info.Size()
}

// readOn reads the key file from where s ends.
func (r *Ring) readOn(ctx context.Context, s *state) error {
	f, err := os.Open(r.path(keyFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer f.Close()
	if s.file, err = f.Stat(); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, s.read, s.file.Size()-s.read))
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // half a line is of a process that died, and of no use to anybody
	for one := range bytes.Lines(text) {
		r.take(ctx, s, one)
	}
	s.read += int64(len(text))
	return nil
}

// take adds one line. What cannot be read or opened is a key that is not there.
func (r *Ring) take(ctx context.Context, s *state, text []byte) {
	var l line
	if json.Unmarshal(text, &l) != nil || l.Version != 1 || l.ID == "" {
		return
	}
	if _, gone := s.destroyed.Load(l.ID); gone {
		s.stale++
		return
	}
	k, err := r.open(ctx, &l)
	if err != nil {
		s.locked.Store(l.ID, l.WrappedWith)
		s.lockedN++
		return
	}
	if _, twice := s.byID.LoadOrStore(k.ID, k); twice {
		return
	}
	s.keys++
	if have, ok := s.current.Load(k.Owner); !ok || !k.Created.Before(have.(*Key).Created) {
		s.current.Store(k.Owner, k)
	}
}

func (r *Ring) open(ctx context.Context, l *line) (*Key, error) {
	for _, w := range r.o.Wrappers {
		if w.ID() != l.WrappedWith {
			continue
		}
		plain, err := w.Unwrap(ctx, l.Wrapped, about(l))
		if err != nil {
			return nil, err
		}
		var c content
		if err := json.Unmarshal(plain, &c); err != nil || len(c.Secret) != 32 || c.Owner.Kind != l.Kind {
			return nil, errors.New("keyring: a key holds something else")
		}
		k := &Key{ID: l.ID, Owner: c.Owner, Created: c.Created}
		copy(k.secret[:], c.Secret)
		return k, nil
	}
	return nil, ErrLocked
}

// wrap makes the line of a key.
func (r *Ring) wrap(ctx context.Context, k *Key) ([]byte, error) {
	w := r.o.Wrappers[0]
	l := line{Version: 1, ID: k.ID, Kind: k.Owner.Kind, WrappedWith: w.ID()}
	plain, err := json.Marshal(content{k.Owner, k.Created, k.secret[:]}) //nolint:gosec // it is wrapped before it is written
	if err != nil {
		return nil, fmt.Errorf("keyring: wrap: %w", err)
	}
	if l.Wrapped, err = w.Wrap(ctx, plain, about(&l)); err != nil {
		return nil, err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("keyring: wrap: %w", err)
	}
	return append(text, '\n'), nil
}

// add makes a key and appends it to the file, whole or not at all.
func (r *Ring) add(ctx context.Context, owner Owner) (*Key, error) {
	k, err := newKey(owner, r.o.Now())
	if err != nil {
		return nil, err
	}
	text, err := r.wrap(ctx, k)
	if err != nil {
		return nil, err
	}
	s := r.state.Load()
	if err := appendSynced(r.path(keyFile), s.read, text); err != nil {
		return nil, err
	}
	return k, r.catchUp(ctx)
}

// appendSynced writes text at the end of what was read, over what a process that
// died may have left there.
func appendSynced(path string, at int64, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	_, err = f.WriteAt(text, at)
	if err == nil {
		err = f.Truncate(at + int64(len(text)))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return nil
}
