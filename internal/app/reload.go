package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/xds"
)

// settle is how long files must be quiet before they are read: editors and
// ConfigMap updates write in several steps.
const settle = 100 * time.Millisecond

// rescan finds changes that the file system did not tell of.
const rescan = 30 * time.Second

// watch reloads when the configuration or the registry directory changes, or
// when a signal asks for it.
func (g *Gateway) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("app: watch: %w", err)
	}
	defer w.Close()
	dirs := []string{filepath.Dir(g.o.Config)}
	if d := g.cfg.Registry.Directory; d != "" {
		dirs = append(dirs, d)
	}
	for _, d := range dirs {
		if err := w.Add(d); err != nil {
			return fmt.Errorf("app: watch %s: %w", d, err)
		}
	}
	quiet := time.NewTimer(rescan)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			g.log.Warn("watching files", "err", err)
		case <-g.o.Reload:
			g.reload()
		case <-quiet.C:
			g.reload()
			quiet.Reset(rescan)
		}
	}
}

// reload swaps in what the files say now, or keeps the old and says why.
func (g *Gateway) reload() {
	changed, err := g.tryReload()
	if err != nil {
		if g.state.bad(err) {
			g.log.Error("the configuration was not taken; the last good one serves on", "err", err)
		}
		return
	}
	g.state.cleared()
	if changed {
		g.log.Info("configuration reloaded", "servers", len(g.holder.Current().View.Servers()))
	}
}

func (g *Gateway) tryReload() (changed bool, err error) {
	cfg, err := config.Load(g.o.Config, ConfigOptions())
	if err != nil {
		return false, err
	}
	if err := g.fixed(cfg); err != nil {
		return false, fmt.Errorf("%s: %w", g.o.Config, err)
	}
	view := cfg.View()
	if g.state.same(cfg, view) {
		return false, nil
	}
	snap, err := g.snapshot(cfg, view)
	if err != nil {
		return false, fmt.Errorf("%s: %w", g.o.Config, err)
	}
	res, err := xds.Build(view, g.settings(cfg, snap.Chain))
	if err != nil {
		return false, err
	}
	// The judge learns of new servers before Envoy does, and Envoy forgets
	// removed ones first by two-phase removal; a call between the two is
	// refused, never unjudged.
	if err := g.xds.Push(res); err != nil {
		return false, err
	}
	g.holder.Swap(snap)
	g.state.good(cfg, view)
	return true, nil
}

// fixed names settings that only a restart can change.
func (g *Gateway) fixed(cfg *config.Config) error {
	var errs []error
	for name, differs := range map[string]bool{
		"extproc": cfg.ExtProc != g.cfg.ExtProc, "xds": cfg.XDS != g.cfg.XDS, "admin": cfg.Admin != g.cfg.Admin,
		"listeners": !equalListeners(cfg.Listeners, g.cfg.Listeners), "receipts": cfg.Receipts != g.cfg.Receipts,
		"log": cfg.Log != g.cfg.Log, "registry.directory": cfg.Registry != g.cfg.Registry,
		"envoy": cfg.Envoy != g.cfg.Envoy, "limits.body": cfg.Limits.Body != g.cfg.Limits.Body,
		"limits.drain": cfg.Limits.Drain != g.cfg.Limits.Drain,
	} {
		if differs {
			errs = append(errs, fmt.Errorf("%s: a change needs a restart", name))
		}
	}
	return errors.Join(errs...)
}

func equalListeners(a, b []config.Listener) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// state is what the reloader knows, for the status.
type state struct {
	mu      sync.Mutex
	print   string // of the configuration in force
	since   time.Time
	reloads uint64
	failed  uint64
	err     string
}

func (s *state) good(cfg *config.Config, view viewOf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print, s.since, s.err = fingerprint(cfg, view), time.Now(), ""
	s.reloads++
}

func (s *state) same(cfg *config.Config, view viewOf) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.print == fingerprint(cfg, view)
}

// bad notes an error and reports whether it is news.
func (s *state) bad(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.err != err.Error()
	s.err = err.Error()
	if news {
		s.failed++
	}
	return news
}

func (s *state) cleared() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = ""
}
