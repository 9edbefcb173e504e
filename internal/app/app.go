// Package app joins ports to adapters: it starts the gateway, reloads it and
// lets it drain.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/sallyport/sallyport/extauthz"
	"github.com/sallyport/sallyport/extproc"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/envoyrun"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/redis"
	"github.com/sallyport/sallyport/internal/spiffe"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/xds"
)

// Options are what the command line decides.
type Options struct {
	Config string
	Envoy  string // binary for a child Envoy
	Child  bool   // run Envoy as a child
	Stdout io.Writer
	Reload <-chan os.Signal // each asks for a reload
}

// Gateway is a running gateway.
type Gateway struct {
	o        Options
	cfg      *config.Config // what the process began with
	source   *config.Source // what is in force
	log      *slog.Logger
	ports    addresses
	holder   *gate.Holder
	metrics  *telemetry.Metrics
	traces   traces
	receipts receipts
	ring     *keyring.Ring               // nil where receipts seal nothing
	sinks    *deliver.Set                // nil without a receipt directory
	reading  atomic.Pointer[deliver.Set] // the same, for the writer of receipts
	procs    *extproc.Server
	checks   *extauthz.Server
	xds      *xds.Server
	envoy    *envoyrun.Process
	spiffe   *spiffe.Source               // nil where workloads have no SPIFFE ids
	offering sync.Mutex                   // one configuration is built and offered at a time
	applying sync.Mutex                   // what a line of bundles says is put in force and remembered
	roster   atomic.Pointer[redis.Roster] // nil until replicas meet
	unsaved  atomic.Pointer[string]       // why that is not remembered; empty where it is
	judges   judges
	lasting  lasting
	draining atomic.Bool
}

// Run serves until ctx ends, then drains.
func Run(ctx context.Context, o Options) (err error) {
	g := &Gateway{o: o}
	g.lasting.dir, g.lasting.id = filepath.Dir(o.Config), replicaID()
	source, err := config.NewSource(o.Config, ConfigOptions(), g.accept)
	if err != nil {
		return err
	}
	cfg := source.Current()
	g.source, g.cfg = source, cfg
	if g.log, err = logger(cfg.Log); err != nil {
		return err
	}
	if g.metrics, err = openMetrics(cfg.Export, g.lasting.id); err != nil {
		return err
	}
	if g.traces, err = openTraces(cfg.Export, g.lasting.id, g.log); err != nil {
		return err
	}
	if cfg.Receipts.Sealing.Keys != "" {
		if g.ring, err = OpenKeyRing(ctx, cfg.Receipts.Sealing); err != nil {
			return err
		}
	}
	out, closeOut, err := openReceipts(cfg.Receipts, o.Stdout, g.needed, g.log)
	if err != nil {
		return err
	}
	g.receipts = out
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, g.receipts.Close(ctx)) // a lost receipt is no clean end
		g.closeSinks(ctx)
		err = errors.Join(err, closeOut())
		g.closeTelemetry(ctx)
	}()
	if err := g.openSinks(cfg); err != nil {
		return err
	}
	return g.serve(ctx)
}

func (g *Gateway) serve(ctx context.Context) error {
	if err := g.prepareChild(); err != nil {
		return err
	}
	ln, err := g.listen()
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
	g.holder = gate.NewHolder(first.snapshot)
	g.judges.holder = g.holder
	g.procs = extproc.New(g.holder, g.log, g.lasting.whyEnd)
	g.lasting.revoked.Tell(g.procs.Reconsider)
	g.xds = xds.New(g.log, xds.Options{
		Grace: max(5*time.Second, 2*g.cfg.Limits.JudgeTime+time.Second),
		Hooks: xds.Hooks{Reverted: g.judges.revert},
	})
	judge := g.grpcServer()
	g.procs.Register(judge)
	if g.traces.Tracer != nil {
		g.traces.Register(judge)
	}
	g.checks = extauthz.New(g.holder, g.log)
	g.checks.Register(judge)
	control := g.grpcServer()
	g.xds.Register(control)
	if err := g.offer(first); err != nil {
		return err
	}
	if err := g.instruments(); err != nil {
		return err
	}
	web := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: admin.Handler(admin.Parts{
		Ready: g.ready, Status: func() any { return g.status() }, Metrics: g.metrics.Handler(), Pprof: g.cfg.Admin.Pprof,
		Routes:      slices.Concat(g.policyRoutes(), g.usageRoutes(), g.sinkRoutes(), g.labelRoutes()),
		Revocations: revoker{g},
	})}
	g.sayAloud()

	// The services outlive ctx by the drain period, so that open calls finish.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, run := errgroup.WithContext(run)
	counting, stopCounting := context.WithCancel(context.WithoutCancel(ctx)) // until the last exchange has settled
	defer stopCounting()
	group.Go(func() error { g.lasting.limits.run(counting); return nil })
	group.Go(func() error { g.lasting.conduct.run(counting); return nil })
	group.Go(func() error { g.lasting.flows.run(counting); return nil })
	group.Go(func() error { g.lasting.books.run(counting, g.log); return nil })
	group.Go(func() error { followSigners(counting, &g.lasting.signers, g.log); return nil })
	group.Go(func() error { g.lasting.revoked.Run(counting); return nil })
	keeping, stopKeeping := context.WithCancel(counting) // before counting ends, which closes what both use
	kept := make(chan struct{})
	group.Go(func() error { defer close(kept); g.lasting.budgets.run(keeping); return nil })
	group.Go(func() error { tendRing(counting, g.ring, g.log); return nil })
	group.Go(func() error { g.shipLogs(counting); return nil })
	group.Go(func() error { return judge.Serve(ln.judge) })
	group.Go(func() error { return control.Serve(ln.control) })
	group.Go(func() error {
		if err := web.Serve(ln.admin); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		if err := g.xds.Run(run); err != nil && run.Err() == nil {
			return err
		}
		return nil
	})
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	group.Go(func() error { return g.watch(watchCtx) })
	group.Go(func() error { return g.watchPolicy(watchCtx) })
	group.Go(func() error { return g.followSPIFFE(watchCtx) })
	group.Go(func() error { return g.meet(watchCtx) })
	envoyDone := g.child(ctx, group)
	group.Go(func() error { return g.announce(watchCtx) })
	group.Go(func() error {
		select {
		case <-run.Done():
		case <-ctx.Done():
			g.log.Info("draining", "at_most", g.cfg.Limits.Drain)
			g.draining.Store(true)
			g.drain(judge, envoyDone)
		}
		stopWatch()
		stop()
		judge.Stop()
		g.checks.Wait()
		stopKeeping()
		<-kept
		stopCounting()
		control.Stop()
		return web.Close()
	})
	return group.Wait()
}

func (g *Gateway) grpcServer() *grpc.Server {
	return grpc.NewServer(
		grpc.NumStreamWorkers(256),                                    // goroutines with stacks that have grown; more streams than these get one of their own
		grpc.WaitForHandlers(true),                                    // exchanges settle before receipts close
		grpc.MaxRecvMsgSize(int(max(g.cfg.Limits.Body, 1<<20))+1<<20), // a body, and the headers beside it
		grpc.MaxConcurrentStreams(1<<20),                              // each open exchange is one
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
}

// announce prints the ready line once requests can be served.
func (g *Gateway) announce(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for g.o.Child && g.ready() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	scheme := "http"
	if g.cfg.Listeners[0].TLS.On() {
		scheme = "https"
	}
	line := fmt.Sprintf("sallyport ready mcp=%s://%s admin=http://%s", scheme, g.ports.mcp[0], g.ports.admin)
	for _, a := range g.ports.egress {
		line += " egress=" + a.String()
	}
	_, err := fmt.Fprintln(g.o.Stdout, line)
	return err
}

// ready returns why requests cannot be served now, or nil.
func (g *Gateway) ready() error {
	if g.draining.Load() {
		return errors.New("the gateway is stopping")
	}
	if !g.xds.Ready() {
		return errors.New("no Envoy has accepted the configuration yet")
	}
	if asks(g.source.Current().Gateway.Authentication) {
		if err := g.lasting.revoked.Stale(); err != nil {
			return fmt.Errorf("%w; every caller is refused", err)
		}
	}
	if g.cfg.Receipts.WhenFull == string(audit.Block) {
		if err := g.receipts.Trouble(); err != nil {
			return fmt.Errorf("%w; messages are refused (receipts.when_full is block)", err)
		}
	}
	return nil
}

// sayAloud tells what is wide open, so that nobody finds out later.
func (g *Gateway) sayAloud() {
	if cfg := g.source.Current(); cfg.Gateway.Authentication.Method == "none" {
		g.log.Warn("authentication is off: whoever reaches the listeners is served", "gateway.authentication.method", "none")
	}
	for i, l := range g.source.Current().Egress.Listeners {
		if l.TrustedNetwork {
			g.log.Warn("whoever reaches an egress listener is its workload", "address", g.ports.egress[i].String(), "workload", l.Workload)
		}
	}
	if b := bindingStatus(g.source.Current(), g.holder.Current()); b.Why == unbound {
		g.log.Warn("ids are not bound to callers: a stolen session, event or task id works for every caller that may call the server; set guards.binding.keys")
	}
	if unpriced(g.source.Current()) {
		g.log.Warn("budgets of money have no effect: no tool has a price; write guards.budget.prices, or price where servers declare their tools")
	}
	if slices.Contains(g.source.Current().Telemetry.Alerts.AnomalyDetection, "token_budget_overruns") && !slices.ContainsFunc(g.holder.Current().Chain.Members(), func(m guard.Member) bool { return m.Spec.Name == "budget" }) {
		g.log.Warn("there is no budget that could be overrun; write cost_controls.budgets, or guards.budget", "telemetry_configuration.alerts.anomaly_detection", "token_budget_overruns")
	}
	if p := g.holder.Current().Policy; p != nil {
		g.log.Info("authorization by policy", "revision", p.Revision())
	} else {
		g.log.Warn("authorization is off: every registered tool is allowed", "gateway.authorization.policy_engine", "none")
	}
	for _, m := range g.holder.Current().Chain.Members() {
		if m.Mode != guard.Enforce || m.OnError == guard.Allow {
			g.log.Warn("a guard does not enforce", "guard", m.Spec.Name, "mode", m.Mode.String(), "on_error", m.OnError.String())
		}
	}
}
