package deliver

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// Options say what is delivered from.
type Options struct {
	Directory string        // of receipts
	Head      func() uint64 // the last receipt in it
	Writes    func() uint64 // the segment that is written; nil where nobody writes
	Log       *slog.Logger
	Now       func() time.Time

	Key    ed25519.PrivateKey     // signs what sinks remember
	Trust  chain.Keys             // that signed before it
	Before ledger.Deliveries      // what the log knew of sinks when it was opened
	Begun  func()                 // Names has a name that the log does not know; may be nil
	Tell   func(sink, why string) // what the directory holds of a sink is not what the gateway left; may be nil

	dead int64 // bytes of dead letters in a file; 0 for maxDead
}

// Set is the sinks of one gateway. Its methods may be called from any goroutine.
type Set struct {
	o       Options
	mu      sync.Mutex
	workers map[string]*worker
	broken  bool // a sink of receipts is configured and could not be begun
	closed  bool
	names   atomic.Pointer[[]string]
	spoken  int // of them, that the log was to write down; Apply's own
}

// ErrUnknown says that there is no sink of that name.
var ErrUnknown = errors.New("deliver: no such sink")

// New returns a set without sinks.
func New(o Options) *Set {
	s := &Set{o: o, workers: make(map[string]*worker)}
	s.names.Store(&[]string{})
	return s
}

// Names returns the sinks that remember something. It never waits.
func (s *Set) Names() []string { return *s.names.Load() }

// named notes that a sink remembers something.
func (s *Set) named(sink string) {
	if have := s.Names(); !slices.Contains(have, sink) {
		all := append(slices.Clone(have), sink)
		s.names.Store(&all)
	}
}

// Head returns the number of the last receipt in the log.
func (s *Set) Head() uint64 { return s.o.Head() }

// Folder is where a sink keeps what it remembers, below the receipt directory.
func Folder(directory, sink string) string { return filepath.Join(directory, "sinks", sink) }

// Apply makes the set's sinks those of specs. One that is as it was goes on;
// a changed one goes on from its place; one that is gone keeps its place on disk,
// should it come again.
func (s *Set) Apply(specs []Spec) error {
	says, err := s.apply(specs)
	for _, say := range says { // whoever is told may wait for the log, and the log for this set
		say()
	}
	s.spread()
	return err
}

// spread has names written down that the log does not know.
func (s *Set) spread() {
	names := s.Names()
	if s.o.Begun != nil && len(names) > s.spoken && slices.ContainsFunc(names[s.spoken:], func(sink string) bool { return !s.o.Before.Names(sink) }) {
		s.o.Begun()
	}
	s.spoken = len(names)
}

func (s *Set) apply(specs []Spec) (says []func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	keep := make(map[string]bool)
	var errs []error
	s.broken = false
	for _, spec := range specs {
		keep[spec.Name] = true
		have := s.workers[spec.Name]
		if have != nil {
			if have.Same == spec.Same {
				continue
			}
			have.stop()
			delete(s.workers, spec.Name)
		}
		w, err := s.start(spec, have, &says)
		if err != nil {
			errs = append(errs, err)
			s.broken = s.broken || spec.receipts()
			continue
		}
		s.workers[spec.Name] = w
	}
	for name, w := range s.workers {
		if !keep[name] {
			w.stop()
			delete(s.workers, name)
			s.o.Log.Warn("a sink is no longer configured; its place is kept", "sink", name)
		}
	}
	return says, errors.Join(errs...)
}

// start begins a sink: where the worker before it was, or else where the disk says.
func (s *Set) start(spec Spec, before *worker, says *[]func()) (_ *worker, err error) {
	w := &worker{Spec: spec, log: s.o.Log, source: s.o.Directory, key: s.o.Key, of: s.o.Before.Replica, head: s.o.Head, now: s.o.Now, full: cmp.Or(s.o.dead, maxDead), writes: s.o.Writes,
		kick: make(chan struct{}, 1), done: make(chan struct{})}
	if w.folder, err = openFolder(s.o.Directory, spec.Name); err != nil {
		return nil, fmt.Errorf("%w: %s", err, spec.Name)
	}
	if s.o.Tell != nil {
		w.tell = func(sink, why string) { *says = append(*says, func() { s.o.Tell(sink, why) }) }
	}
	if err := w.begin(&s.o, before, slices.Contains(s.Names(), spec.Name)); err != nil {
		_ = w.folder.Close()
		return nil, fmt.Errorf("deliver: %s: %w", spec.Name, err)
	}
	w.tell = s.o.Tell
	if w.unsaved == nil {
		s.named(spec.Name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go w.run(ctx)
	return w, nil
}

func (w *worker) stop() {
	w.cancel()
	<-w.done
}

func (w *worker) hurry() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Status tells how the sinks are, by name.
func (s *Set) Status() []Status {
	s.mu.Lock()
	all := make([]*worker, 0, len(s.workers))
	for _, w := range s.workers {
		all = append(all, w)
	}
	s.mu.Unlock()
	out := make([]Status, len(all))
	for i, w := range all {
		out[i] = w.status()
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Behind returns the segment that the sink of receipts which is furthest back still reads;
// none when there is no sink. Where that cannot be told, because a sink could not be
// begun, it is the first. Sinks that were stopped count as long as their gateway runs.
func (s *Set) Behind() (segment uint64, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return 0, true
	}
	for _, w := range s.workers {
		if !w.receipts() {
			continue
		}
		w.mu.Lock()
		at := w.cursor.At.Segment
		if a := w.cursor.Aside; a != nil {
			at = min(at, a.At.Segment)
		}
		w.mu.Unlock()
		if !some || at < segment {
			segment, some = at, true
		}
	}
	return segment, some
}

// Close lets the sinks deliver what the log has, until ctx ends, and stops them.
// What was not delivered is when the gateway runs again.
func (s *Set) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	all := s.workers // they stay: what they have not delivered is needed still
	s.mu.Unlock()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for busy := true; busy && ctx.Err() == nil; {
		busy = false
		for _, w := range all {
			w.mu.Lock()
			rests := w.cursor.Paused || w.trouble != nil || w.idle && (!w.receipts() || w.cursor.At.Seq >= w.head())
			w.mu.Unlock()
			if !rests {
				busy = true
				w.hurry()
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	for _, w := range all {
		w.cancel()
	}
	for _, w := range all {
		<-w.done
	}
}
