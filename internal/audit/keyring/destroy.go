package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Destroy takes away for good all keys that choose says, and returns their IDs.
// The ring remembers the IDs, so that a copy of its file which is put back does
// not bring them back. Whatever the file still holds of keys that were destroyed
// before, because that was broken off or a copy was put back, goes as well.
func (r *Ring) Destroy(ctx context.Context, choose func(*Key) bool) (ids []string, err error) {
	err = r.exclusively(func() error {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		r.Keys(func(k *Key) {
			if choose(k) {
				ids = append(ids, k.ID)
			}
		})
		slices.Sort(ids)
		if len(ids) > 0 {
			if err := r.bury(ids); err != nil { // first, so that nothing can come between
				return err
			}
			if err := r.load(ctx); err != nil { // nobody here uses them, whatever becomes of the file
				return err
			}
		}
		if r.state.Load().stale == 0 {
			return nil
		}
		if err := r.rewrite(ctx, func(l *line) ([]byte, error) { return json.Marshal(l) }); err != nil {
			return err
		}
		return r.load(ctx)
	})
	return ids, err
}

// Rewrap wraps every key with the first wrapper, so that the others can go. It
// returns how many were wrapped anew. A key that cannot be opened is an error, and
// then nothing changes.
func (r *Ring) Rewrap(ctx context.Context) (n int, err error) {
	err = r.exclusively(func() error {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if locked := r.Locked(); locked > 0 {
			return fmt.Errorf("%w: %d keys; give all wrapping keys that were in use", ErrLocked, locked)
		}
		if err := r.rewrite(ctx, func(l *line) ([]byte, error) {
			if l.WrappedWith == r.o.Wrappers[0].ID() {
				return json.Marshal(l)
			}
			k, err := r.open(ctx, l)
			if err != nil {
				return nil, err
			}
			n++
			text, err := r.wrap(ctx, k)
			return bytes.TrimSuffix(text, []byte("\n")), err
		}); err != nil {
			return err
		}
		return r.load(ctx)
	})
	return n, err
}

// Rotate gives an owner a new key; what was sealed under the older ones stays
// readable.
func (r *Ring) Rotate(ctx context.Context, owner Owner) (k *Key, err error) {
	err = r.exclusively(func() error {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		k, err = r.add(ctx, owner)
		return err
	})
	return k, err
}

// bury notes which keys are destroyed.
func (r *Ring) bury(ids []string) error {
	now := r.o.Now().UTC()
	var text []byte
	for _, id := range ids {
		one, err := json.Marshal(line{Version: 1, ID: id, Destroyed: &now})
		if err != nil {
			return fmt.Errorf("keyring: destroy: %w", err)
		}
		text = append(append(text, one...), '\n')
	}
	var size int64
	if have, err := os.ReadFile(r.path(destroyedFile)); err == nil {
		size = int64(bytes.LastIndexByte(have, '\n') + 1)
	}
	return appendSynced(r.path(destroyedFile), size, text)
}

// rewrite writes the key file anew, line by line, without destroyed keys. What the
// old file held is overwritten before its name goes, as far as the file system
// writes in place.
func (r *Ring) rewrite(_ context.Context, change func(*line) ([]byte, error)) error {
	old, err := os.ReadFile(r.path(keyFile))
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	var out []byte
	for text := range bytes.Lines(old) {
		var l line
		if !strings.HasSuffix(string(text), "\n") || json.Unmarshal(text, &l) != nil {
			continue
		}
		if _, gone := r.state.Load().destroyed.Load(l.ID); gone {
			continue
		}
		one, err := change(&l)
		if err != nil {
			return err
		}
		out = append(append(out, one...), '\n')
	}
	tmp := r.path(keyFile + ".new")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keyring: %w", err)
	}
	if err := appendSynced(tmp, 0, out); err != nil {
		return err
	}
	before, err := os.OpenFile(r.path(keyFile), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer before.Close()
	if err := os.Rename(tmp, r.path(keyFile)); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	if err := syncDir(r.o.Directory); err != nil {
		return err
	}
	_, err = before.WriteAt(make([]byte, len(old)), 0)
	if err = errors.Join(err, before.Sync()); err != nil {
		return fmt.Errorf("keyring: overwrite: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("keyring: sync %s: %w", dir, err)
	}
	return nil
}
