package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
)

// Source keeps a configuration and its servers up to date with their files.
// [Source.Current] is the last good one: a change that is bad in any part is
// refused as a whole. All methods may be called from any goroutine.
type Source struct {
	path    string
	accept  func(old, next *Config) error
	rescan  time.Duration
	changes chan struct{}
	current atomic.Pointer[Config]

	reloading sync.Mutex // one reload at a time; guards loader
	loader    *loader

	mu     sync.Mutex
	status Status
}

// Status says which configuration is in force, and why a newer one is not.
type Status struct {
	Path     string
	Revision string    // of the settings in force
	Since    time.Time // when settings or servers in force were taken

	Reloads uint64 // changes taken since the start
	Refused uint64 // changes refused since the start, each counted once

	// Error is why the files as they are now are not in force, or nil.
	// Problems within it have their places: see [Problems].
	Error error
	// Watch is what keeps changes from being noticed at once, or nil.
	Watch error
}

// NewSource loads the configuration at path. accept, if not nil, is asked before
// a change takes effect; its error refuses the change. It is not asked about
// the first configuration.
func NewSource(path string, o Options, accept func(old, next *Config) error) (*Source, error) {
	s := &Source{path: path, accept: accept, rescan: rescan, changes: make(chan struct{}, 1), loader: newLoader(o)}
	first, err := s.loader.load(path)
	if err != nil {
		return nil, err
	}
	s.take(first)
	return s, nil
}

// Current returns the configuration in force.
func (s *Source) Current() *Config { return s.current.Load() }

// Changes delivers a value after a change took effect; several changes may be
// told as one.
func (s *Source) Changes() <-chan struct{} { return s.changes }

// Status returns the state of the source.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Reload takes what the files say now, or keeps what is in force and returns
// why. It returns nil when nothing changed. A reload that fails on files
// outside, such as a missing certificate, is tried again by [Source.Watch].
func (s *Source) Reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	old := s.Current()
	next, err := s.loader.load(s.path)
	if err == nil && (next == old || same(old, next)) {
		s.outcome(nil)
		return nil
	}
	if err == nil {
		if problems := fixed(s.path, old, next); len(problems) > 0 {
			err = problems
		}
	}
	if err == nil && s.accept != nil {
		err = s.accept(old, next)
	}
	s.outcome(err)
	if err != nil {
		return err
	}
	s.take(next)
	select {
	case s.changes <- struct{}{}:
	default: // one is waiting already
	}
	return nil
}

// take puts c in force.
func (s *Source) take(c *Config) {
	s.current.Store(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Path == "" {
		s.status.Path = s.path
	} else {
		s.status.Reloads++
	}
	s.status.Revision, s.status.Since = c.revision, time.Now()
}

// outcome notes the outcome of a reload. The same refusal is counted once,
// however often the files are looked at.
func (s *Source) outcome(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && (s.status.Error == nil || s.status.Error.Error() != err.Error()) {
		s.status.Refused++
	}
	s.status.Error = err
}

// note keeps what went wrong with watching.
func (s *Source) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Watch = err
}

// same reports whether a and b have the same settings and servers. Where a
// server is declared does not count: a comment above it changes nothing.
func same(a, b *Config) bool {
	return a.revision == b.revision && slices.EqualFunc(a.view.Servers(), b.view.Servers(), func(x, y registry.Server) bool {
		x.Origin, y.Origin = "", ""
		return reflect.DeepEqual(x, y)
	})
}

// fixed reports every changed setting that cannot change while the gateway runs.
func fixed(path string, old, next *Config) Problems {
	var changed []string
	differences(reflect.ValueOf(old).Elem(), reflect.ValueOf(next).Elem(), "", &changed)
	if changed == nil {
		return nil
	}
	data, err := read(path)
	if err != nil {
		data = nil // changed again meanwhile: the message does without the line
	}
	at := strict.Parse(path, data)
	var out Problems
	for _, setting := range changed {
		place := at
		for key := range strings.SplitSeq(setting, ".") {
			place = place.Field(key)
		}
		out = append(out, place.Place().Problem("cannot change while the gateway runs; restart it, or put the old value back"))
	}
	return out
}

func differences(a, b reflect.Value, path string, out *[]string) {
	t := a.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		switch {
		case f.Tag.Get("restart") == "true":
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				*out = append(*out, at)
			}
		case f.Type.Kind() == reflect.Struct:
			differences(a.Field(i), b.Field(i), at, out)
		}
	}
}
