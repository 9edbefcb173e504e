// Package app joins ports to adapters: it starts the gateway, reloads it and
// lets it drain.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/sallyport/sallyport/extauthz"
	"github.com/sallyport/sallyport/extproc"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/envoyrun"
	"github.com/sallyport/sallyport/internal/gate"
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
	receipts *audit.Receipts
	procs    *extproc.Server
	checks   *extauthz.Server
	xds      *xds.Server
	envoy    *envoyrun.Process
	judges   judges
	lasting  lasting
}

// Run serves until ctx ends, then drains.
func Run(ctx context.Context, o Options) error {
	g := &Gateway{o: o}
	source, err := config.NewSource(o.Config, ConfigOptions(), g.accept)
	if err != nil {
		return err
	}
	cfg := source.Current()
	g.source, g.cfg = source, cfg
	if g.log, err = logger(cfg.Log); err != nil {
		return err
	}
	if g.metrics, err = telemetry.New(); err != nil {
		return err
	}
	out, closeOut, err := receiptWriter(cfg.Receipts, o.Stdout)
	if err != nil {
		return err
	}
	g.receipts = audit.New(out, cfg.Receipts.Queue, audit.WhenFull(cfg.Receipts.WhenFull), g.log)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := errors.Join(g.receipts.Close(ctx), closeOut(), g.metrics.Close(ctx)); err != nil {
			g.log.Error("shutdown", "err", err)
		}
	}()
	return g.serve(ctx)
}

func (g *Gateway) serve(ctx context.Context) error {
	ln, err := g.listen()
	if err != nil {
		return err
	}
	first, err := g.build(g.cfg)
	if err != nil {
		return err
	}
	g.holder = gate.NewHolder(first.snapshot)
	g.judges.holder = g.holder
	g.procs = extproc.New(g.holder, g.log)
	g.xds = xds.New(g.log, xds.Options{
		Grace: max(5*time.Second, 2*g.cfg.Limits.JudgeTime+time.Second),
		Hooks: xds.Hooks{Reverted: g.judges.revert},
	})
	judge := g.grpcServer()
	g.procs.Register(judge)
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
	})}
	g.sayAloud()

	// The services outlive ctx by the drain period, so that open calls finish.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, run := errgroup.WithContext(run)
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
	envoyDone, err := g.child(ctx, group)
	if err != nil {
		return err
	}
	group.Go(func() error { return g.announce(watchCtx) })
	group.Go(func() error {
		select {
		case <-run.Done():
		case <-ctx.Done():
			g.log.Info("draining", "at_most", g.cfg.Limits.Drain)
			g.drain(envoyDone)
		}
		stopWatch()
		stop()
		judge.Stop()
		g.checks.Wait()
		control.Stop()
		return web.Close()
	})
	return group.Wait()
}

// child starts Envoy if asked to. The channel closes when it has stopped.
func (g *Gateway) child(ctx context.Context, group *errgroup.Group) (<-chan struct{}, error) {
	done := make(chan struct{})
	if !g.o.Child {
		close(done)
		return done, nil
	}
	binary, err := envoyrun.Find(g.o.Envoy)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sallyport-")
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	boot, err := Bootstrap(g.cfg, g.ports.control)
	if err != nil {
		return nil, err
	}
	g.envoy = &envoyrun.Process{Binary: binary, Bootstrap: boot, Dir: dir, Concurrency: g.cfg.Envoy.Concurrency, Log: g.log}
	group.Go(func() error {
		defer close(done)
		defer os.RemoveAll(dir)
		return g.envoy.Run(ctx, g.cfg.Limits.Drain)
	})
	return done, nil
}

// drain waits for the child Envoy, which finishes its open requests; streams
// that are still open after half of the time get a readable end.
func (g *Gateway) drain(envoyDone <-chan struct{}) {
	half := time.NewTimer(g.cfg.Limits.Drain / 2)
	defer half.Stop()
	select {
	case <-envoyDone:
		if g.envoy == nil { // somebody else's Envoy moves on when it cannot reach us
			g.procs.Drain()
		}
		return
	case <-half.C:
	}
	g.procs.Drain()
	<-envoyDone
}

func (g *Gateway) grpcServer() *grpc.Server {
	return grpc.NewServer(
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
	_, err := fmt.Fprintf(g.o.Stdout, "sallyport ready mcp=http://%s admin=http://%s\n", g.ports.mcp[0], g.ports.admin)
	return err
}

func (g *Gateway) ready() error {
	if !g.xds.Ready() {
		return errors.New("no Envoy has accepted the configuration yet")
	}
	return nil
}

// sayAloud tells what is wide open, so that nobody finds out later.
func (g *Gateway) sayAloud() {
	if cfg := g.source.Current(); cfg.Gateway.Authentication.Method == "none" {
		g.log.Warn("authentication is off: whoever reaches the listeners is served", "gateway.authentication.method", "none")
	}
	g.log.Warn("authorization is off: every registered tool is allowed", "gateway.authorization.policy_engine", "none")
	for _, m := range g.holder.Current().Chain.Members() {
		if m.Mode != guard.Enforce || m.OnError == guard.Allow {
			g.log.Warn("a guard does not enforce", "guard", m.Spec.Name, "mode", m.Mode.String(), "on_error", m.OnError.String())
		}
	}
}

type listeners struct{ judge, control, admin net.Listener }

// addresses are those in use, with real ports.
type addresses struct {
	judge, control, admin string
	mcp                   []netip.AddrPort
}

func (g *Gateway) listen() (listeners, error) {
	var ln listeners
	for _, l := range []struct {
		name, address string
		to            *net.Listener
		chosen        *string
	}{
		{"extproc", g.cfg.ExtProc.Address.String(), &ln.judge, &g.ports.judge},
		{"xds", g.cfg.XDS.Address.String(), &ln.control, &g.ports.control},
		{"admin", g.cfg.Admin.Address.String(), &ln.admin, &g.ports.admin},
	} {
		got, err := net.Listen("tcp", l.address)
		if err != nil {
			return ln, fmt.Errorf("app: %s: %w", l.name, err)
		}
		*l.to, *l.chosen = got, got.Addr().String()
	}
	mcp, err := pickPorts(g.cfg)
	g.ports.mcp = mcp
	return ln, err
}

// pickPorts replaces port 0 of Envoy's listeners, so that the ready line, and
// a second Envoy started later, know the port.
func pickPorts(cfg *config.Config) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, l := range cfg.Listeners {
		a := l.Address.AddrPort
		if a.Port() == 0 {
			free, err := net.Listen("tcp", l.Address.String())
			if err != nil {
				return nil, fmt.Errorf("app: listener: %w", err)
			}
			a = free.Addr().(*net.TCPAddr).AddrPort()
			if err := free.Close(); err != nil {
				return nil, fmt.Errorf("app: listener: %w", err)
			}
		}
		out = append(out, a)
	}
	return out, nil
}
