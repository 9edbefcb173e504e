package spiffe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
)

// Options say where identities come from, and whom to believe.
type Options struct {
	Address      string   // of the Workload API, unix:///path or tcp://ip:port; empty: Files
	Files        Files    // in the place of the Workload API
	TrustDomains []string // whose workloads are believed
	JWT          bool     // JWT-SVIDs are to be verified too
	Log          *slog.Logger

	look time.Duration // between two looks at files
}

// firstWait is how long the first SVID may take: an agent that starts beside
// the gateway is given time, one that is not there is an error.
const firstWait = 30 * time.Second

// Source keeps what the Workload API, or the files, said last. When nothing new
// can be had the last material stays, and is as good as long as it has not
// expired.
type Source struct {
	o       Options
	cancel  context.CancelFunc
	closing func() error // not nil once the source is being closed
	done    chan struct{}
	first   chan struct{}
	changes chan struct{}
	jwt     atomic.Pointer[jwtbundle.Set]

	mu      sync.Mutex
	current *Material
	missing []string // trust domains without a bundle, as told last
	begun   bool     // all that is needed came once
	err     error    // why nothing new can be had, nil while it can
}

// Open begins to follow the Workload API or the files, and waits for the first
// material. The source must be closed.
func Open(ctx context.Context, o Options) (*Source, error) {
	if o.look <= 0 {
		o.look = often
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Source{o: o, cancel: cancel, closing: run.Err, done: make(chan struct{}), first: make(chan struct{}), changes: make(chan struct{}, 1)}
	follow, from := s.followFiles, "files"
	if o.Address != "" {
		follow, from = s.followAPI, "workload api "+o.Address
	}
	go func() {
		defer close(s.done)
		if err := follow(run); err != nil {
			s.failed(err)
		}
	}()
	wait := time.NewTimer(firstWait)
	defer wait.Stop()
	var err error
	select {
	case <-s.first:
		return s, nil
	case <-wait.C:
		err = fmt.Errorf("nothing usable within %v", firstWait)
	case <-s.done:
		err = errors.New("the watch ended")
	case <-ctx.Done():
		err = ctx.Err()
	}
	err = fmt.Errorf("spiffe: %s: %w", from, errors.Join(err, s.Err()))
	s.Close()
	return nil, err
}

// Close ends the source.
func (s *Source) Close() {
	s.cancel()
	<-s.done
}

// Current returns the material in force.
func (s *Source) Current() *Material {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Keys returns the keys of JWT-SVIDs in force, the same pointer as long as they
// do not change; nil when there are none.
func (s *Source) Keys() *jwtbundle.Set { return s.jwt.Load() }

// Err returns why nothing new can be had at the moment, or nil.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Changes delivers a value after the material changed; several changes may be
// told as one.
func (s *Source) Changes() <-chan struct{} { return s.changes }

// take puts m in force.
func (s *Source) take(m *Material) {
	missing, err := m.check(s.o.TrustDomains)
	if err != nil {
		s.failed(err)
		return
	}
	s.mu.Lock()
	for _, domain := range missing {
		if !slices.Contains(s.missing, domain) {
			s.o.Log.Warn("there is no bundle of a trust domain: its workloads are refused", "trust_domain", domain)
		}
	}
	s.current, s.missing, s.err = m, missing, nil
	s.mu.Unlock()
	s.o.Log.Info("X.509-SVID taken", "spiffe_id", m.ID, "expires", m.Expires, "trust_domains", m.TrustDomains())
	s.changed()
}

// takeKeys puts the keys of JWT-SVIDs in force.
func (s *Source) takeKeys(keys *jwtbundle.Set) {
	s.jwt.Store(keys)
	s.o.Log.Info("keys of JWT-SVIDs taken", "trust_domains", keys.Len())
	s.changed()
}

// changed tells of news once all that is needed is there.
func (s *Source) changed() {
	s.mu.Lock()
	complete := s.current != nil && (!s.o.JWT || s.jwt.Load() != nil)
	begins := complete && !s.begun
	s.begun = s.begun || complete
	s.mu.Unlock()
	if begins {
		close(s.first)
		return
	}
	select {
	case s.changes <- struct{}{}:
	default: // one is waiting already
	}
}

// failed notes why nothing new can be had.
func (s *Source) failed(err error) {
	if s.closing() != nil {
		return
	}
	s.mu.Lock()
	news := s.err == nil || s.err.Error() != err.Error()
	s.err = err
	last := s.current
	s.mu.Unlock()
	switch {
	case !news:
	case last == nil:
		s.o.Log.Warn("there is no X.509-SVID yet", "err", err)
	default:
		s.o.Log.Warn("nothing new can be had; the last X.509-SVID and bundles serve on", "err", err, "expires", last.Expires)
	}
}
