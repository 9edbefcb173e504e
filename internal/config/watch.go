package config

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Times of the watch.
const (
	// settle is how long files must be quiet before they are read: editors and
	// ConfigMap updates write in several steps.
	settle = 100 * time.Millisecond
	// patience is how long a busy directory, such as one that receipts are
	// written to, can put the reading off.
	patience = time.Second
	// rescan finds what the file system did not tell, as network file systems
	// do not, and mended certificates, which nobody watches.
	rescan = 30 * time.Second
)

// Watch reloads when a file changes, until ctx ends. Directories are watched
// rather than files, because a file that is replaced takes its watch with it.
// An event is only a hint: [Source.Reload] looks at the contents.
func (s *Source) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("config: watch: %w", err)
	}
	defer w.Close()
	s.note(s.follow(w))
	// The files may have changed before they were watched.
	quiet, late := time.NewTimer(settle), time.NewTimer(patience)
	defer quiet.Stop()
	defer late.Stop()
	pending := true
	hurry := func() {
		if !pending {
			pending = true
			late.Reset(patience)
		}
		quiet.Reset(settle)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.Events:
			if s.concerns(e) {
				hurry()
			}
			continue
		case err := <-w.Errors: // events may be lost: look
			s.note(fmt.Errorf("config: watch: %w", err))
			hurry()
			continue
		case <-quiet.C:
		case <-late.C:
		}
		pending = false
		_ = s.Reload() // Status tells
		s.note(s.follow(w))
		quiet.Reset(s.rescan)
		late.Stop()
	}
}

// concerns reports whether an event may change what Reload reads. Writing to a
// file that declares nothing does not, as a log beside the configuration shows;
// whatever comes, goes or is renamed may, as a ConfigMap's ..data link shows.
func (s *Source) concerns(e fsnotify.Event) bool {
	if !e.Has(fsnotify.Write) && !e.Has(fsnotify.Chmod) {
		return true
	}
	ext := filepath.Ext(e.Name)
	return filepath.Base(e.Name) == filepath.Base(s.path) || ext == ".yaml" || ext == ".yml"
}

// follow watches the directories that the configuration in force lives in, and
// those that symbolic links lead to.
func (s *Source) follow(w *fsnotify.Watcher) error {
	want := []string{filepath.Dir(s.path)}
	if target, err := filepath.EvalSymlinks(s.path); err == nil {
		want = append(want, filepath.Dir(target))
	}
	if d := s.Current().Registry.Directory; d != "" {
		want = append(want, filepath.Dir(d))
		if target, err := filepath.EvalSymlinks(d); err == nil {
			d = target
		}
		want = append(want, d)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	have := w.WatchList()
	for _, d := range have {
		if !slices.Contains(want, d) {
			_ = w.Remove(d) // it may be gone already
		}
	}
	for _, d := range want {
		if slices.Contains(have, d) {
			continue
		}
		if err := w.Add(d); err != nil {
			return fmt.Errorf("config: watch %s: %w", d, err)
		}
	}
	return nil
}
