package deliver

import (
	"fmt"
	"time"
)

// get returns a sink; whoever asks holds s.mu as long as it uses it, since Apply
// may put another worker in its place.
func (s *Set) get(name string) (*worker, error) {
	if w := s.workers[name]; w != nil && !s.closed {
		return w, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
}

// Pause stops a sink at its place until Resume, over restarts too.
func (s *Set) Pause(name string) error { return s.pause(name, true) }

// Resume lets a sink go on from its place.
func (s *Set) Resume(name string) error { return s.pause(name, false) }

func (s *Set) pause(name string, yes bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.get(name)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.cursor
	w.cursor.Paused, w.cursor.Since, w.cursor.Steered = yes, time.Time{}, w.now().UTC()
	if yes {
		w.cursor.Since = w.now().UTC()
	}
	w.dirty = true
	if w.saveLocked(true); w.unsaved != nil {
		w.cursor.Paused, w.cursor.Since, w.cursor.Steered = was.Paused, was.Since, was.Steered
		return w.unsaved
	}
	w.hurry()
	return nil
}

// Replay has a sink get everything again that was made at a time or later, from
// the oldest receipt that is still there. It returns the first.
func (s *Set) Replay(name string, from time.Time) (seq uint64, err error) {
	p, err := since(s.o.Directory, from, s.o.Writes)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.get(name)
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.cursor
	w.cursor.rewind(p)
	at := from.UTC()
	w.cursor.Line = ""
	w.cursor.At, w.cursor.Replayed, w.cursor.Through, w.cursor.Steered, w.dirty = p, &at, time.Time{}, w.now().UTC(), true
	if w.saveLocked(true); w.unsaved != nil {
		w.cursor = was
		return 0, w.unsaved
	}
	w.jump = &p
	w.hurry()
	return p.Seq + 1, nil
}
