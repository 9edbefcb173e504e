package app

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// run does everything at once until ctx ends and open calls have finished. What it
// starts leads one of four lives: what follows changes ends with ctx; what serves
// ends with the drain; accounts are closed when the last exchange has settled; and
// what they are kept in ends last.
func (g *Gateway) run(ctx context.Context, ln listeners, s servers) error {
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group, serving := errgroup.WithContext(serving)
	counting, stopCounting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCounting()
	keeping, stopKeeping := context.WithCancel(counting)
	defer stopKeeping()

	g.count(counting, group)
	kept := make(chan struct{})
	group.Go(func() error { defer close(kept); g.lasting.budgets.run(keeping); return nil })
	g.answer(serving, group, ln, s)
	g.heed(following, group)
	envoyDone := g.child(ctx, group)
	group.Go(func() error { return g.announce(following) })
	group.Go(func() error {
		select {
		case <-serving.Done():
		case <-ctx.Done():
			g.log.Info("draining", "at_most", g.cfg.Limits.Drain)
			g.draining.Store(true)
			g.drain(s.judge, envoyDone)
		}
		stopFollowing()
		stopServing()
		s.judge.Stop()
		g.checks.Wait()
		g.accounts.Wait()
		stopKeeping()
		<-kept
		stopCounting()
		s.control.Stop()
		return s.web.Close()
	})
	return group.Wait()
}

// count keeps in order what exchanges are counted and remembered with, until ctx
// ends.
func (g *Gateway) count(ctx context.Context, group *errgroup.Group) {
	for _, run := range []func(context.Context){
		g.lasting.limits.run,
		g.lasting.conduct.run,
		g.lasting.flows.run,
		func(ctx context.Context) { g.lasting.books.run(ctx, g.log) },
		func(ctx context.Context) { followSigners(ctx, &g.lasting.signers, g.log) },
		g.lasting.revoked.Run,
		func(ctx context.Context) { tendRing(ctx, g.ring, g.log) },
		g.shipLogs,
	} {
		group.Go(func() error { run(ctx); return nil })
	}
}

// answer serves until s is stopped, and pushes configurations to Envoys until ctx
// ends.
func (g *Gateway) answer(ctx context.Context, group *errgroup.Group, ln listeners, s servers) {
	group.Go(func() error { return s.judge.Serve(ln.judge) })
	group.Go(func() error { return s.control.Serve(ln.control) })
	group.Go(func() error {
		if err := s.web.Serve(ln.admin); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		if err := g.xds.Run(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
}

// heed takes in, until ctx ends, what changes elsewhere: files, bundles of
// policies, identities of workloads, and other replicas.
func (g *Gateway) heed(ctx context.Context, group *errgroup.Group) {
	for _, watch := range []func(context.Context) error{g.watch, g.watchPolicy, g.followSPIFFE, g.meet} {
		group.Go(func() error { return watch(ctx) })
	}
}
