package app

import (
	"context"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/sallyport/sallyport/accesslog"
	"github.com/sallyport/sallyport/extauthz"
	"github.com/sallyport/sallyport/extproc"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/xds"
)

// serve opens what is shared, builds what judges, and runs until ctx ends.
func (g *Gateway) serve(ctx context.Context) error {
	if err := g.prepareChild(); err != nil {
		return err
	}
	ln, err := g.listen()
	defer ln.release()
	if err != nil {
		return err
	}
	if err := g.openSPIFFE(ctx); err != nil {
		return err
	}
	defer g.closeSPIFFE()
	if err := g.lasting.openShared(g.cfg, g.log); err != nil {
		return err
	}
	defer g.lasting.closeShared()
	first, err := g.build(g.cfg)
	if err != nil {
		return err
	}
	s := g.servers(first)
	if err := g.offer(first); err != nil {
		return err
	}
	if err := g.instruments(); err != nil {
		return err
	}
	g.sayAloud()
	return g.run(ctx, ln, s)
}

// servers are what others speak to: Envoy's filters, Envoy's configuration, and
// people.
type servers struct {
	judge, control *grpc.Server
	web            *http.Server
}

// servers makes them, with first in force.
func (g *Gateway) servers(first *build) servers {
	g.holder = gate.NewHolder(first.snapshot)
	g.judges.holder = g.holder
	g.procs = extproc.New(g.holder, g.log, g.lasting.whyEnd)
	g.lasting.revoked.Tell(g.procs.Reconsider)
	g.checks = extauthz.New(g.holder, g.log)
	g.xds = xds.New(g.log, xds.Options{
		Grace: max(5*time.Second, 2*g.cfg.Limits.JudgeTime+time.Second),
		Hooks: xds.Hooks{Reverted: g.judges.revert},
	})
	s := servers{judge: g.grpcServer(), control: g.grpcServer()}
	g.procs.Register(s.judge)
	if g.traces.Tracer != nil {
		g.traces.Register(s.judge)
	}
	g.checks.Register(s.judge)
	g.accounts = accesslog.New(g.holder, g.log)
	g.accounts.Register(s.judge)
	g.xds.Register(s.control)
	s.web = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: admin.Handler(admin.Parts{
		Ready: g.ready, Status: func() any { return g.status() }, Metrics: g.metrics.Handler(), Pprof: g.cfg.Admin.Pprof,
		Routes:      slices.Concat(g.serverRoutes(), g.policyRoutes(), g.usageRoutes(), g.sinkRoutes(), g.labelRoutes()),
		Revocations: revoker{g},
	})}
	return s
}

func (g *Gateway) grpcServer() *grpc.Server {
	return grpc.NewServer(
		grpc.NumStreamWorkers(256),                                    // goroutines with stacks that have grown; more streams than these get one of their own
		grpc.WaitForHandlers(true),                                    // exchanges settle before receipts close
		grpc.MaxRecvMsgSize(int(max(g.cfg.Limits.Body, 1<<20))+1<<20), // a body, and the headers beside it
		grpc.MaxConcurrentStreams(1<<20),                              // each open exchange is one
		grpc.StaticStreamWindowSize(256<<10),                          // or it grows to 16 MiB, which a stream holds whose client does not read
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
}
