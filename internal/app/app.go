// Package app joins ports to adapters: it starts the gateway, reloads it and
// lets it drain.
package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/accesslog"
	"github.com/sallyport/sallyport/extauthz"
	"github.com/sallyport/sallyport/extproc"
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
	names    []byte                      // key of the digests of names in receipts
	signs    signing                     // without a receipt directory, nothing
	ring     *keyring.Ring               // nil where receipts seal nothing
	sinks    *deliver.Set                // nil without a receipt directory
	reading  atomic.Pointer[deliver.Set] // the same, for the writer of receipts
	procs    *extproc.Server
	checks   *extauthz.Server
	accounts *accesslog.Server
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
	if g.names, err = nameKey(cfg.Receipts.URIs.Key); err != nil {
		return err
	}
	if g.signs, err = openSigning(cfg.Receipts); err != nil {
		return err
	}
	out, closeOut, err := openReceipts(cfg.Receipts, g.signs, o.Stdout, g.needed, g.sinkNames, g.log)
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
