// Package keyring keeps the keys under which receipts seal payloads and names of
// people: one for each tenant and one for each subject, each of them wrapped by a
// key that lies elsewhere. Who destroys a key makes unreadable, for good, all that
// was sealed under it, while receipts stay as they are.
package keyring

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Kinds of owners.
const (
	Tenant  = "tenant"
	Subject = "subject"
)

// Owner is whose data a key seals. Of a tenant, Issuer and Subject are empty.
type Owner struct {
	Kind    string `json:"kind"`
	Tenant  string `json:"tenant,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// TenantOf is the owner of what a tenant's payloads are sealed under.
func TenantOf(name string) Owner { return Owner{Kind: Tenant, Tenant: name} }

// Key is one data key. Its ID tells nothing about its owner; the ID of a
// subject's key is the pseudonym of the subject.
type Key struct {
	ID      string
	Owner   Owner
	Created time.Time
	secret  [32]byte
}

// LogValue shows no secret.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.ID) }

// String returns the ID alone, whatever verb a key is printed with.
func (k *Key) String() string { return k.ID }

// GoString is String.
func (k *Key) GoString() string { return k.ID }

// What can be wrong with a key that is asked for.
var (
	ErrDestroyed = errors.New("keyring: the key was destroyed")
	ErrUnknown   = errors.New("keyring: there is no such key")
	ErrLocked    = errors.New("keyring: the key is wrapped by a key that was not given")
)

// Options say how a ring is kept.
type Options struct {
	Directory string
	Wrappers  []Wrapper     // the first wraps; the others open what they wrapped before
	Rotate    time.Duration // a tenant's key that is older is followed by a new one; 0 for never
	Now       func() time.Time
}

// Ring is an open key ring. Several processes may have one open. Its methods may
// be called concurrently.
type Ring struct {
	o     Options
	state atomic.Pointer[state]
	mu    sync.Mutex // held while the files are read or written
}

// state is what was read of one version of the file.
type state struct {
	file      os.FileInfo
	read      int64    // bytes of it
	current   sync.Map // Owner -> *Key, the newest
	byID      sync.Map // string -> *Key
	locked    sync.Map // string: IDs of keys that cannot be unwrapped
	destroyed sync.Map // string -> time.Time
	keys      int
	lockedN   int
	stale     int   // lines of keys that were destroyed
	buried    int64 // size of destroyedFile
}

// Names of the files in a ring's folder.
const (
	keyFile       = "keys.jsonl"
	destroyedFile = "destroyed.jsonl"
	lockFile      = "lock"
)

// Open opens a ring, and makes an empty one where there is none.
func Open(ctx context.Context, o Options) (*Ring, error) {
	if len(o.Wrappers) == 0 {
		return nil, errors.New("keyring: open: there is no key to wrap keys with")
	}
	if err := os.MkdirAll(o.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("keyring: open: %w", err)
	}
	r := &Ring{o: o}
	if err := r.exclusively(func() error { return r.load(ctx) }); err != nil {
		return nil, err
	}
	if s := r.state.Load(); s.lockedN > 0 && s.keys == 0 {
		return nil, fmt.Errorf("keyring: open %s: none of its %d keys opens with the keys that were given", o.Directory, s.lockedN)
	}
	return r, nil
}

// Current returns the key under which data of an owner is sealed now, and makes it
// where there is none. That takes a write to the disk, once for each owner.
func (r *Ring) Current(ctx context.Context, owner Owner) (*Key, error) {
	if k, ok := r.state.Load().current.Load(owner); ok && !r.old(k.(*Key)) {
		return k.(*Key), nil
	}
	var key *Key
	err := r.exclusively(func() error {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if k, ok := r.state.Load().current.Load(owner); ok && !r.old(k.(*Key)) {
			key = k.(*Key) // another call, or another process, was quicker
			return nil
		}
		var err error
		key, err = r.add(ctx, owner)
		return err
	})
	return key, err
}

// old reports whether a key is to be followed by a new one. Keys of subjects are
// not: their IDs are pseudonyms, by which what one person did can be told.
func (r *Ring) old(k *Key) bool {
	return k.Owner.Kind == Tenant && r.o.Rotate > 0 && r.o.Now().Sub(k.Created) >= r.o.Rotate
}

// Key returns a key by its ID.
func (r *Ring) Key(id string) (*Key, error) {
	s := r.state.Load()
	if _, gone := s.destroyed.Load(id); gone {
		return nil, fmt.Errorf("%w: %s", ErrDestroyed, id)
	}
	if k, ok := s.byID.Load(id); ok {
		return k.(*Key), nil
	}
	if _, ok := s.locked.Load(id); ok {
		return nil, fmt.Errorf("%w: %s", ErrLocked, id)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, id)
}

// Keys calls f with every key that can be opened, in no order.
func (r *Ring) Keys(f func(*Key)) {
	r.state.Load().byID.Range(func(_, k any) bool { f(k.(*Key)); return true })
}

// Locked returns how many keys there are that cannot be opened.
func (r *Ring) Locked() int { return r.state.Load().lockedN }

// Refresh takes in what other processes changed: above all, that they destroyed
// keys. It is cheap where nothing changed.
func (r *Ring) Refresh(ctx context.Context) error {
	s := r.state.Load()
	if info, err := os.Stat(r.path(keyFile)); err == nil && s.file != nil && os.SameFile(info, s.file) && info.Size() == s.read && r.buried() == s.buried {
		return nil
	}
	return r.exclusively(func() error { return r.catchUp(ctx) })
}

func (r *Ring) path(name string) string { return filepath.Join(r.o.Directory, name) }

func newKey(owner Owner, now time.Time) (*Key, error) {
	k := &Key{Owner: owner, Created: now.UTC()}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("keyring: new key: %w", err)
	}
	if _, err := rand.Read(k.secret[:]); err != nil {
		return nil, fmt.Errorf("keyring: new key: %w", err)
	}
	k.ID = hex.EncodeToString(id[:])
	return k, nil
}
