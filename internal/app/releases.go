package app

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/shadow"
)

// releases are the lines of policy bundles, and how bundles compare. They outlive
// configurations.
type releases struct {
	opening  sync.Mutex // one line is opened at a time
	mu       sync.Mutex
	lines    map[string]*line // by their settings
	failed   map[string]error
	shelves  map[string]*release.Shelf
	opened   int // lines so far
	queue    *shadow.Queue
	places   int            // of queue
	canaried *shadow.Report // the candidate's, or the last one's
	shadowed *shadow.Report
}

// line returns the line of a configuration, with a bundle that judges.
func (r *releases) line(dir string, c terms, shadow bool) (*line, error) {
	r.opening.Lock() // a source may take its time
	defer r.opening.Unlock()
	key, err := lineKey(c, shadow)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if have := r.has(c, shadow); have != nil {
		return have, nil
	}
	n, err := r.open(dir, c, shadow)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == nil || len(r.lines) > 8 { // those of configurations that are gone
		r.lines, r.failed = make(map[string]*line), make(map[string]error)
	}
	if err != nil {
		r.failed[key] = err
		return nil, fmt.Errorf("bundle: %w", err)
	}
	r.lines[key] = n
	delete(r.failed, key)
	return n, nil
}

// why returns why the shadow's line of a configuration could not be opened.
func (r *releases) why(c terms) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := lineKey(c, true)
	if err != nil {
		return err
	}
	return r.failed[key]
}

// has returns the line of a configuration, if it was opened.
func (r *releases) has(c terms, shadow bool) *line {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := lineKey(c, shadow)
	if err != nil {
		return nil
	}
	return r.lines[key]
}

// all returns the lines that are open.
func (r *releases) all() []*line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.lines))
}
