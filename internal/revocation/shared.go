package revocation

import (
	"context"
	"errors"
	"time"
)

// Mark says which state of a shared list something is. The zero Mark is that of
// a store that holds nothing.
type Mark struct {
	Epoch   string `json:"epoch,omitempty"` // of the store's memory: another one means that it lost what it held
	Version int64  `json:"version,omitempty"`
}

// Shared is a list that replicas share. It is called from several goroutines;
// each call has its own deadline.
type Shared interface {
	// Mark returns the list's state.
	Mark(ctx context.Context) (Mark, error)
	// Read returns the list.
	Read(ctx context.Context) (Mark, []*Entry, error)
	// Put puts entries on the list, each in the place of that with its ID, or with
	// missing only where there is none. It announces the change.
	Put(ctx context.Context, missing bool, entries []*Entry) error
	// Delete takes an entry off the list, if it is there, and announces that.
	Delete(ctx context.Context, id string) error
	// Sweep removes entries that are over.
	Sweep(ctx context.Context, over []*Entry) error
	// Follow calls changed for every announcement until ctx ends. Announcements
	// may get lost.
	Follow(ctx context.Context, changed func())
}

const (
	look  = 400 * time.Millisecond // at the shared list, announced or not
	pause = 50 * time.Millisecond  // between two readings: many announcements make few
	clean = time.Minute
)

// Run follows the shared list, and clears away what is over, until ctx ends.
func (l *List) Run(ctx context.Context) {
	if l.o.Shared != nil {
		follow, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.o.Shared.Follow(follow, l.poke)
		}()
		defer func() { stop(); <-done }()
	}
	tick, sweep := time.NewTicker(look), time.NewTicker(clean)
	defer tick.Stop()
	defer sweep.Stop()
	for {
		if l.o.Shared != nil {
			l.catchUp(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.nudge:
			if !sleep(ctx, l.rest()) {
				return
			}
		case <-sweep.C:
			l.sweep(ctx)
		}
	}
}

// rest is how long to wait before a reading that was announced. The first of
// several announcements is followed at once.
func (l *List) rest() time.Duration {
	since := l.o.Now().UnixNano() - l.confirmed.Load()
	return max(0, pause-time.Duration(since))
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (l *List) poke() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// send gives the shared list what it lacks. It needs asking.
func (l *List) send(ctx context.Context) error {
	l.mu.Lock()
	var lacking []*Entry
	for id := range l.unsent {
		lacking = append(lacking, l.entries[id])
	}
	l.mu.Unlock()
	if len(lacking) == 0 {
		return nil
	}
	if err := l.o.Shared.Put(ctx, false, lacking); err != nil {
		return errors.Join(ErrUnshared, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range lacking {
		if l.entries[e.ID] == e { // or else a newer one is there
			delete(l.unsent, e.ID)
		}
	}
	return l.save()
}

// catchUp makes the list what the shared one is.
func (l *List) catchUp(ctx context.Context) {
	l.asking.Lock()
	before := l.o.Now()
	err := l.send(ctx)
	if err == nil {
		err = l.follow(ctx)
	}
	l.asking.Unlock()
	l.mu.Lock()
	was := l.trouble
	l.trouble = err
	if err == nil {
		l.confirmed.Store(before.UnixNano())
	}
	l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil && was == nil:
		l.o.Log.Warn("the shared list of revocations cannot be read; the last known one counts", "err", err)
	case err == nil && was != nil:
		l.o.Log.Info("the shared list of revocations can be read again")
	}
}

func (l *List) follow(ctx context.Context) error {
	now, err := l.o.Shared.Mark(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	have := l.mark
	l.mu.Unlock()
	if now == have && (now != Mark{} || l.empty()) {
		return nil
	}
	for range 3 {
		mark, theirs, err := l.o.Shared.Read(ctx)
		if err != nil {
			return err
		}
		missing := l.missing(mark, theirs)
		if len(missing) == 0 {
			l.replace(mark, theirs)
			return nil
		}
		// The store lost what it had: this replica still knows it.
		l.o.Log.Warn("the shared list of revocations lost entries, which are put back", "entries", len(missing))
		if err := l.o.Shared.Put(ctx, true, missing); err != nil {
			return err
		}
	}
	return errors.New("revocation: the shared list keeps losing entries")
}

func (l *List) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries) == 0
}

// missing returns what the store ought to have: nothing while its state follows
// on the one that is known here.
func (l *List) missing(mark Mark, theirs []*Entry) []*Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mark.Epoch == l.mark.Epoch && mark.Version >= l.mark.Version && mark.Epoch != "" {
		return nil
	}
	has := make(map[string]bool, len(theirs))
	for _, e := range theirs {
		has[e.ID] = true
	}
	var out []*Entry
	now := l.o.Now()
	for id, e := range l.entries {
		if !has[id] && !e.over(now) {
			out = append(out, e)
		}
	}
	return out
}

// replace makes the list what was read, but for what the store was not told yet.
func (l *List) replace(mark Mark, theirs []*Entry) {
	added := false
	l.mu.Lock()
	keep := make(map[string]bool, len(theirs))
	for _, e := range theirs {
		keep[e.ID] = true
		if l.unsent[e.ID] {
			continue
		}
		if old := l.entries[e.ID]; old == nil || *old != *e {
			l.enter(e)
			added = true
		}
	}
	for id, e := range l.entries {
		if !keep[id] && !l.unsent[id] {
			l.leave(e)
		}
	}
	l.mark = mark
	_ = l.save() // the status says so
	l.mu.Unlock()
	if added {
		l.tell()
	}
}

// sweep clears away what is over.
func (l *List) sweep(ctx context.Context) {
	l.mu.Lock()
	var over []*Entry
	now := l.o.Now()
	for _, e := range l.entries {
		if e.over(now) {
			over = append(over, e)
		}
	}
	for _, e := range over {
		l.leave(e)
	}
	if len(over) > 0 {
		_ = l.save()
	}
	l.mu.Unlock()
	if l.o.Shared != nil && len(over) > 0 {
		_ = l.o.Shared.Sweep(ctx, over) // whoever reads them next finds them over as well
	}
}
