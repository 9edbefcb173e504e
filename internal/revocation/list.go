package revocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// Options say how a list is kept.
type Options struct {
	Shared   Shared        // what replicas share; nil: this process keeps the list alone
	File     string        // that the list outlives the process in; empty: it does not
	MaxStale time.Duration // how long a list that was not confirmed counts, with Shared; 0: for ever
	Most     int           // entries
	Log      *slog.Logger
	Now      func() time.Time
}

// List is the list of revocations. Somebody has to Run it.
type List struct {
	o     Options
	index *index
	// told is called, one call at a time, after entries were added.
	told atomic.Pointer[func()]

	// asking is held while the shared list is asked, so that nothing which was
	// read before a change takes effect after it.
	asking sync.Mutex

	mu      sync.Mutex
	entries map[string]*Entry // by ID
	mark    Mark              // of the shared list that entries are
	unsent  map[string]bool   // IDs that the shared list lacks, because it could not be reached
	trouble error             // why the shared list could not be read last
	disk    error             // why the file could not be written last
	nudge   chan struct{}

	confirmed atomic.Int64 // when entries were last known to be all, in nanoseconds; 0: never
}

// Errors of Add and Remove.
var (
	ErrFull    = errors.New("revocation: the list is full")
	ErrUnknown = errors.New("revocation: there is no such entry")
	// ErrUnshared: the entry counts here, and the other replicas learn of it
	// when the store can be reached again.
	ErrUnshared = errors.New("revocation: other replicas do not know yet")
)

// Open returns the list that o.File has, if any.
func Open(o Options) (*List, error) {
	l := &List{o: o, index: newIndex(), entries: make(map[string]*Entry), unsent: make(map[string]bool), nudge: make(chan struct{}, 1)}
	if o.File == "" {
		return l, nil
	}
	kept, err := readFile(o.File)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return l, nil
	}
	now := o.Now()
	for _, e := range kept.Entries {
		if !e.over(now) {
			l.enter(e)
		}
	}
	l.mark = kept.Mark
	if o.Shared == nil {
		return l, nil
	}
	if !kept.Confirmed.IsZero() { // it is the last known list, as old as the file says
		l.confirmed.Store(kept.Confirmed.UnixNano())
	}
	for _, id := range kept.Unsent {
		if l.entries[id] != nil {
			l.unsent[id] = true
		}
	}
	return l, nil
}

// Tell has f called after entries were added: what they revoke may be under way.
func (l *List) Tell(f func()) { l.told.Store(&f) }

// Revoked returns the entry that revokes p, nil when there is none. It is called
// concurrently, for every request.
func (l *List) Revoked(p *guard.Principal) *Entry {
	if l.index.size.Load() == 0 {
		return nil
	}
	return l.index.match(p, l.o.Now())
}

// Stale returns why the list must not be relied on, or nil.
func (l *List) Stale() error {
	if l.o.Shared == nil {
		return nil
	}
	switch last := l.confirmed.Load(); {
	case last == 0:
		return errors.New("revocation: the shared list was never read yet")
	case l.o.MaxStale > 0 && l.o.Now().UnixNano()-last > int64(l.o.MaxStale):
		return fmt.Errorf("revocation: the shared list was last read more than %v ago", l.o.MaxStale)
	}
	return nil
}

// All returns the entries, oldest first.
func (l *List) All() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, now := make([]Entry, 0, len(l.entries)), l.o.Now()
	for _, e := range l.entries {
		if !e.over(now) {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Add puts an entry on the list, in the place of one of the same kind, issuer and
// value. It counts here when Add returns, even with ErrUnshared.
func (l *List) Add(ctx context.Context, e Entry) (Entry, error) {
	now := l.o.Now()
	e.Since, e.IssuedBefore, e.Expires = now.UTC().Truncate(time.Millisecond), e.IssuedBefore.UTC(), e.Expires.UTC()
	e.identify()
	if err := e.Check(now); err != nil {
		return e, err
	}
	l.mu.Lock()
	if l.entries[e.ID] == nil && len(l.entries) >= l.o.Most {
		l.mu.Unlock()
		return e, ErrFull
	}
	l.enter(&e)
	if l.o.Shared != nil {
		l.unsent[e.ID] = true // until the store has it, reading the store must not take it away
	}
	err := l.save()
	l.mu.Unlock()
	l.tell()
	if l.o.Shared == nil {
		return e, err
	}
	l.asking.Lock()
	defer l.asking.Unlock()
	return e, errors.Join(err, l.send(ctx))
}

// Remove takes an entry off the list.
func (l *List) Remove(ctx context.Context, id string) (Entry, error) {
	l.mu.Lock()
	e := l.entries[id]
	l.mu.Unlock()
	if e == nil {
		return Entry{}, ErrUnknown
	}
	l.asking.Lock()
	defer l.asking.Unlock()
	if l.o.Shared != nil {
		// First where everybody looks: what is only off the list here comes back.
		if err := l.o.Shared.Delete(ctx, id); err != nil {
			return *e, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(e)
	return *e, l.save()
}

// enter and leave need the lock.
func (l *List) enter(e *Entry) {
	l.entries[e.ID] = e
	l.index.set(e, false)
}

func (l *List) leave(e *Entry) {
	delete(l.entries, e.ID)
	delete(l.unsent, e.ID)
	l.index.set(e, true)
}

func (l *List) tell() {
	if f := l.told.Load(); f != nil {
		(*f)()
	}
}

// Status tells how the list is kept.
type Status struct {
	Entries   int
	Kept      string // "here", "file" or "shared"
	Unsent    int
	Confirmed time.Time // with a shared list: when it was last known to be this
	Trouble   error
}

// Status returns how the list is kept.
func (l *List) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Entries: len(l.entries), Kept: "here", Unsent: len(l.unsent), Trouble: errors.Join(l.trouble, l.disk)}
	switch {
	case l.o.Shared != nil:
		s.Kept = "shared"
		if at := l.confirmed.Load(); at != 0 {
			s.Confirmed = time.Unix(0, at)
		}
	case l.o.File != "":
		s.Kept = "file"
	}
	return s
}
