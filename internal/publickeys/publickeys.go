// Package publickeys keeps public keys that others publish, in files and as JWK
// sets at URLs, and follows their changes.
package publickeys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/segment"
)

// How keys at URLs are kept.
const (
	fresh    = time.Minute     // then they are fetched again
	retry    = 5 * time.Second // at the soonest after the last attempt, whoever shows unknown ids
	maxStale = 24 * time.Hour  // how long known keys outlive their owner's silence
	patience = 5 * time.Second // of one attempt
	maxReply = 1 << 20         // bytes
	maxFile  = 1 << 20         // bytes
)

// Rings are the sources of keys that some configuration has named. They last
// over reloads, so that keys are not forgotten while their owner is silent. The
// zero Rings are empty.
type Rings struct {
	mu      sync.Mutex
	sources map[string]*source
}

// source is one file or URL.
type source struct {
	reference string
	client    *remote.Client // nil for a file
	keys      atomic.Pointer[[]segment.PublicKey]
	missed    atomic.Bool // somebody showed an id that is not among the keys

	// The rest is the sweeper's.
	modified time.Time
	size     int64
	tried    time.Time
	got      time.Time
	said     string // trouble, as it was told
}

// View is what a configuration sees of the rings.
type View struct{ sources map[string]*source }

// Open returns the keys of references: files, relative to dir, which have to be
// there, and URLs, which are fetched later.
func (r *Rings) Open(dir string, references []string) (*View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sources == nil {
		r.sources = make(map[string]*source)
	}
	v := &View{make(map[string]*source)}
	var errs []error
	for _, reference := range references {
		at := reference
		if !strings.Contains(reference, "://") && !filepath.IsAbs(at) {
			at = filepath.Join(dir, at)
		}
		s, known := r.sources[at]
		if !known {
			var err error
			if s, err = open(at); err != nil {
				errs = append(errs, err)
				continue
			}
			r.sources[at] = s
		}
		v.sources[reference] = s
	}
	return v, errors.Join(errs...)
}

func open(at string) (*source, error) {
	s := &source{reference: at}
	if !strings.Contains(at, "://") {
		err := s.read()
		return s, err
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")) {
		return nil, errors.New("publickeys: keys come from a file or by https; plain http is for loopback hosts only")
	}
	s.client, err = remote.New(remote.Options{URL: at, MaxReply: maxReply})
	return s, err
}

// Find returns the keys of an id.
func (v *View) Find(reference, id string) (out []segment.PublicKey) {
	s, ok := v.sources[reference]
	if !ok {
		return nil
	}
	if keys := s.keys.Load(); keys != nil {
		for _, k := range *keys {
			if k.ID == id {
				out = append(out, k)
			}
		}
	}
	if len(out) == 0 && s.client != nil && !s.missed.Load() {
		s.missed.Store(true)
	}
	return out
}

// Refresh looks for changes. It is called about once a second, by one.
func (r *Rings) Refresh(ctx context.Context, now time.Time, log *slog.Logger) {
	r.mu.Lock()
	list := make([]*source, 0, len(r.sources))
	for _, s := range r.sources {
		list = append(list, s)
	}
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() { s.tell(log, s.refresh(ctx, now)) })
	}
	wg.Wait()
}

func (s *source) refresh(ctx context.Context, now time.Time) error {
	if s.client == nil {
		return s.read()
	}
	pause := fresh
	if s.missed.Load() || s.said != "" || s.keys.Load() == nil {
		pause = retry
	}
	if !s.tried.IsZero() && now.Sub(s.tried) < pause {
		return errUnchanged
	}
	s.tried = now
	s.missed.Store(false)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := s.client.Get(ctx, http.Header{"Accept": {"application/jwk-set+json, application/json"}})
	var keys []segment.PublicKey
	switch {
	case err != nil:
	case reply.Status != http.StatusOK:
		err = fmt.Errorf("publickeys: HTTP status %d", reply.Status)
	default:
		keys, err = segment.ParseKeys(reply.Body)
	}
	if err != nil {
		if now.Sub(s.got) > maxStale {
			s.keys.Store(nil) // nobody knows whether they were taken back
		}
		return err
	}
	s.got = now
	s.keys.Store(&keys)
	return nil
}

var errUnchanged = errors.New("publickeys: nothing was tried")

// read reads a file if it is not the one that was read last.
func (s *source) read() error {
	info, err := os.Stat(s.reference)
	if err != nil {
		return fmt.Errorf("publickeys: %w", err)
	}
	if info.ModTime().Equal(s.modified) && info.Size() == s.size {
		return errUnchangedIf(s.modified)
	}
	if info.Size() > maxFile {
		return fmt.Errorf("publickeys: %s: is longer than 1 MiB", s.reference)
	}
	text, err := os.ReadFile(s.reference)
	if err != nil {
		return fmt.Errorf("publickeys: %w", err)
	}
	keys, err := segment.ParseKeys(text)
	if err != nil {
		return fmt.Errorf("publickeys: %s: %w", s.reference, err)
	}
	s.modified, s.size = info.ModTime(), info.Size()
	s.keys.Store(&keys)
	return nil
}

func errUnchangedIf(read time.Time) error {
	if read.IsZero() {
		return nil
	}
	return errUnchanged
}

// tell says once that something is wrong, and once that it is well again. What
// was known stays in force meanwhile.
func (s *source) tell(log *slog.Logger, err error) {
	said := ""
	switch {
	case errors.Is(err, errUnchanged) && s.client != nil:
		return
	case errors.Is(err, errUnchanged), err == nil:
	default:
		said = err.Error()
	}
	switch {
	case said == s.said:
	case said != "":
		log.Error("keys of signers cannot be read; those that were known stay in force", "keys", s.reference, "err", said)
	default:
		log.Info("keys of signers can be read again", "keys", s.reference)
	}
	s.said = said
}
