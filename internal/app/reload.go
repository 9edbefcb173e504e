package app

import (
	"context"
	"fmt"
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
	retry := time.NewTicker(retryRejected)
	defer retry.Stop()
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
				continue
			}
			g.retry()
		case <-retry.C:
			g.retry()
		case <-look.C:
			switch err := g.source.Status().Error; {
			case err != nil && err.Error() != told:
				g.log.Error("the configuration was not taken; the last good one serves on", "err", err)
				told = err.Error()
			case err == nil && told != "":
				g.log.Info("the configuration files are good again")
				told = ""
			}
		case <-g.source.Changes():
			told = ""
			if err := g.applySinks(g.source.Current()); err != nil {
				g.log.Error("not all sinks could be begun", "err", err)
			}
			g.log.Info("configuration taken", "servers", len(g.source.Current().View().Servers()))
		}
	}
}

// retryRejected is how often a configuration that Envoy rejected is offered
// again: what was wrong, such as a missing folder, may lie outside the files
// that are watched. SIGHUP does it at once.
const retryRejected = time.Minute

// retry offers the configuration of the files again if Envoy rejected it.
func (g *Gateway) retry() {
	version := g.judges.refused()
	if version == "" || g.source.Status().Error != nil {
		return
	}
	g.offering.Lock()
	defer g.offering.Unlock()
	b, err := g.build(g.source.Current())
	if err == nil {
		g.log.Info("offering Envoy again what it rejected", "version", version)
		g.xds.Forgive(version)
		err = g.offer(b)
	}
	if err != nil {
		g.log.Error("the configuration was not taken; the last good one serves on", "err", err)
	}
}

// build is one configuration, ready to serve: what judges, and what Envoy gets.
type build struct {
	cfg       *config.Config
	snapshot  *gate.Snapshot
	resources *xds.Resources
	version   string // of the resources
}

func (g *Gateway) build(cfg *config.Config) (*build, error) {
	if _, err := sinkSpecs(cfg, g.o.Stdout); err != nil {
		return nil, err
	}
	observers, err := g.observers(cfg)
	if err != nil {
		return nil, err
	}
	snap, err := g.lasting.snapshot(cfg, observers...)
	if err != nil {
		return nil, err
	}
	return g.resources(cfg, snap)
}

// resources makes what Envoy gets for what judges.
func (g *Gateway) resources(cfg *config.Config, snap *gate.Snapshot) (b *build, err error) {
	b = &build{cfg: cfg, snapshot: snap}
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
	g.offering.Lock()
	defer g.offering.Unlock()
	b, err := g.build(next)
	if err != nil {
		return err
	}
	return g.offer(b)
}

// offer puts b in force. The judge learns of new servers before Envoy routes to
// them. Calls to a removed one that Envoy still routes are refused as unknown.
func (g *Gateway) offer(b *build) error {
	undo := g.judges.swap(b)
	if err := g.xds.Push(b.resources); err != nil {
		undo()
		return fmt.Errorf("app: %w", err)
	}
	return nil
}
