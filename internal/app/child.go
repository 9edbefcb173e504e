package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/internal/envoyrun"
)

// prepareChild finds the binary of the child Envoy, if there is to be one,
// before anything else begins.
func (g *Gateway) prepareChild() error {
	if !g.o.Child {
		return nil
	}
	binary, err := envoyrun.Find(g.o.Envoy)
	if err != nil {
		return err
	}
	g.envoy = &envoyrun.Process{Binary: binary, Concurrency: g.cfg.Envoy.Concurrency, Log: g.log}
	return nil
}

// child runs Envoy if it is ours. The channel closes when it has stopped.
func (g *Gateway) child(ctx context.Context, group *errgroup.Group) <-chan struct{} {
	done := make(chan struct{})
	if g.envoy == nil {
		close(done)
		return done
	}
	group.Go(func() error {
		defer close(done)
		dir, err := os.MkdirTemp("", "sallyport-")
		if err != nil {
			return fmt.Errorf("app: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // a bootstrap without secrets
		if g.envoy.Bootstrap, err = Bootstrap(g.cfg, g.ports.control); err != nil {
			return err
		}
		g.envoy.Dir = dir
		return g.envoy.Run(ctx, g.cfg.Limits.Drain)
	})
	return done
}

// drain lets open requests finish, for limits.drain at most. Event streams that
// are open after half of it get a readable end, since some never end by
// themselves.
func (g *Gateway) drain(judge *grpc.Server, envoyDone <-chan struct{}) {
	finished := envoyDone
	if g.envoy == nil { // somebody else's Envoy takes new requests elsewhere
		gone := make(chan struct{})
		go func() { // ends with judge.Stop at the latest
			defer close(gone)
			g.accounts.Drain()
			judge.GracefulStop()
		}()
		finished = gone
	}
	half, whole := time.NewTimer(g.cfg.Limits.Drain/2), time.NewTimer(g.cfg.Limits.Drain)
	defer half.Stop()
	defer whole.Stop()
	for {
		select {
		case <-finished:
			<-envoyDone
			return
		case <-half.C:
			g.procs.Drain()
		case <-whole.C:
			<-envoyDone // it ends by itself now
			return
		}
	}
}
