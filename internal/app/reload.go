package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/xds"
)

// watch reloads when the configuration or the registry directory changes, or
// when a signal asks for it.
func (g *Gateway) watch(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- g.source.Watch(ctx) }()
	told := ""
	look := time.NewTicker(500 * time.Millisecond) // the source tells of refusals in its status only
	defer look.Stop()
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-g.o.Reload:
			if err := g.source.Reload(); err != nil {
				g.log.Error("the configuration was not taken; the last good one serves on", "err", err)
				told = err.Error()
			}
		case <-look.C:
			if err := g.source.Status().Error; err != nil && err.Error() != told {
				g.log.Error("the configuration was not taken; the last good one serves on", "err", err)
				told = err.Error()
			}
		case <-g.source.Changes():
			told = ""
			g.log.Info("configuration reloaded", "servers", len(g.source.Current().View().Servers()))
		}
	}
}

// build is one configuration, ready to serve: what judges, and what Envoy gets.
type build struct {
	snapshot  *gate.Snapshot
	resources *xds.Resources
	version   string // of the resources
}

func (g *Gateway) build(cfg *config.Config) (*build, error) {
	snap, err := g.lasting.snapshot(cfg, g.receipts, g.metrics)
	if err != nil {
		return nil, err
	}
	b := &build{snapshot: snap}
	if b.resources, err = xds.Build(cfg.View(), g.settings(cfg, snap.Chain)); err != nil {
		return nil, err
	}
	if b.version, err = b.resources.Version(); err != nil {
		return nil, err
	}
	return b, nil
}

// accept is asked by the source before a change takes effect.
func (g *Gateway) accept(_, next *config.Config) error {
	b, err := g.build(next)
	if err != nil {
		return err
	}
	return g.offer(b)
}

// offer puts b in force. The judge learns of new servers before Envoy routes to
// them. Calls to a removed one that Envoy still routes are refused as unknown.
func (g *Gateway) offer(b *build) error {
	before := g.judges.swap(b)
	if err := g.xds.Push(b.resources); err != nil {
		g.judges.restore(before)
		return fmt.Errorf("app: %w", err)
	}
	return nil
}

// judges remembers what judged under which of Envoy's configurations, so that a
// configuration that Envoy rejects is taken back on both sides.
type judges struct {
	holder *gate.Holder

	mu       sync.Mutex
	current  *build
	previous []*build // oldest first
	rejected string   // version that Envoy rejected, while it is what the files say
}

// kept is how many former configurations a revert can reach.
const kept = 8

func (j *judges) swap(b *build) (before *build) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before = j.current
	if before != nil {
		j.previous = append(j.previous, before)
		if len(j.previous) > kept {
			j.previous = j.previous[1:]
		}
	}
	j.current, j.rejected = b, ""
	j.holder.Swap(b.snapshot)
	return before
}

func (j *judges) restore(b *build) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if b != nil {
		j.current = b
		j.holder.Swap(b.snapshot)
	}
}

// revert is called when Envoy rejected a configuration and version serves again.
func (j *judges) revert(version string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current == nil || j.current.version == version {
		return
	}
	j.rejected = j.current.version
	for i := len(j.previous) - 1; i >= 0; i-- {
		if b := j.previous[i]; b.version == version {
			j.current = b
			j.holder.Swap(b.snapshot)
			return
		}
	}
}

func (j *judges) refused() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rejected
}
