package spiffe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// Options say where the Workload API is, and whom to believe.
type Options struct {
	Address      string   // unix:///path or tcp://ip:port
	TrustDomains []string // whose bundles are wanted; others that the API knows are left out
	Log          *slog.Logger
}

// firstWait is how long the first SVID may take: an agent that starts beside
// the gateway is given time, one that is not there is an error.
const firstWait = 30 * time.Second

// Source keeps what the Workload API said last. When the API goes away the last
// material stays, and is as good as long as it has not expired.
type Source struct {
	o       Options
	cancel  context.CancelFunc
	closing func() error // not nil once the source is being closed
	done    chan struct{}
	first   chan struct{}
	changes chan struct{}

	mu      sync.Mutex
	current *Material
	err     error // of the API, nil while it works
}

// Open connects to the Workload API and waits for the first material. The source
// must be closed.
func Open(ctx context.Context, o Options) (*Source, error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Source{o: o, cancel: cancel, closing: run.Err, done: make(chan struct{}), first: make(chan struct{}), changes: make(chan struct{}, 1)}
	client, err := workloadapi.New(run, workloadapi.WithAddr(o.Address))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("spiffe: workload api %s: %w", o.Address, err)
	}
	go func() {
		defer close(s.done)
		defer client.Close()
		_ = client.WatchX509Context(run, s) // s was told why it ended
	}()
	wait := time.NewTimer(firstWait)
	defer wait.Stop()
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
	err = fmt.Errorf("spiffe: workload api %s: %w", o.Address, errors.Join(err, s.Err()))
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

// Err returns why the Workload API tells nothing at the moment, or nil.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Changes delivers a value after the material changed; several changes may be
// told as one.
func (s *Source) Changes() <-chan struct{} { return s.changes }

// OnX509ContextUpdate implements workloadapi.X509ContextWatcher.
func (s *Source) OnX509ContextUpdate(c *workloadapi.X509Context) {
	m, missing, err := materialOf(c, s.o.TrustDomains)
	if err != nil {
		s.OnX509ContextWatchError(err)
		return
	}
	for _, domain := range missing {
		s.o.Log.Warn("the workload api has no bundle of a trust domain: its workloads are refused", "trust_domain", domain)
	}
	s.mu.Lock()
	begins := s.current == nil
	s.current, s.err = m, nil
	s.mu.Unlock()
	s.o.Log.Info("X.509-SVID taken", "spiffe_id", m.ID, "expires", m.Expires, "trust_domains", m.TrustDomains())
	if begins {
		close(s.first)
		return
	}
	select {
	case s.changes <- struct{}{}:
	default: // one is waiting already
	}
}

// OnX509ContextWatchError implements workloadapi.X509ContextWatcher.
func (s *Source) OnX509ContextWatchError(err error) {
	if s.closing() != nil {
		return
	}
	s.mu.Lock()
	s.err = err
	last := s.current
	s.mu.Unlock()
	if last == nil {
		s.o.Log.Warn("the workload api gives no X.509-SVID yet", "err", err)
		return
	}
	s.o.Log.Warn("the workload api is lost; the last X.509-SVID serves on", "err", err, "expires", last.Expires)
}
