package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/standard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/xds"
)

type viewOf = *registry.View

// Snapshot builds what judges exchanges under cfg; observers hear of every
// decision in turn.
func Snapshot(cfg *config.Config, view *registry.View, observers ...guard.Observer) (*gate.Snapshot, error) {
	specs := standard.Specs()
	settings, err := cfg.GuardSettings(specs)
	if err != nil {
		return nil, err
	}
	members, err := guard.Assemble(specs, func(name string) guard.Setting { return settings[name] })
	if err != nil {
		return nil, err
	}
	decoder := mcp.NewDecoder(mcp.Config{
		Limits:       mcp.Limits{Bytes: max(cfg.Limits.Body, cfg.Limits.Response), Depth: cfg.Limits.Depth},
		ExtraMethods: cfg.MCP.ExtraMethods,
		AnyNames:     cfg.MCP.AnyNames,
	})
	chain, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: gate.Await, Observers: observers}, members...)
	if err != nil {
		return nil, err
	}
	s := &gate.Snapshot{
		Chain: chain, Decoder: decoder, View: view,
		Limits: gate.Limits{Body: cfg.Limits.Body, Response: cfg.Limits.Response, Event: cfg.Limits.Event, ResponseTime: cfg.Limits.ResponseTime},
	}
	for _, name := range cfg.MCP.Revisions {
		r := mcp.ParseRevision(name)
		if r == mcp.RevisionUnknown {
			return nil, fmt.Errorf("mcp.revisions: %q is not a revision this gateway speaks", name)
		}
		s.Revisions = append(s.Revisions, r)
	}
	return s, nil
}

func (g *Gateway) settings(cfg *config.Config, chain *guard.Chain) xds.Settings {
	s := xds.DefaultSettings()
	s.Listeners = nil
	for i, a := range g.ports.mcp {
		s.Listeners = append(s.Listeners, xds.Listener{Name: "mcp" + strconv.Itoa(i), Address: a.Addr().String(), Port: uint32(a.Port())})
	}
	s.ExtProc = g.ports.judge
	s.BodyLimit = uint64(cfg.Limits.Body)
	s.AccessLog = cfg.Envoy.AccessLog
	s.Drain = cfg.Limits.Drain
	s.Phases = xds.Phases{RequestBody: true, Response: true}
	return s
}

// Bootstrap returns the bootstrap of an Envoy that takes its configuration from
// the xDS server at address.
func Bootstrap(cfg *config.Config, address string) ([]byte, error) {
	b := xds.DefaultBootstrap()
	b.XDS = address
	a, err := netip.ParseAddrPort(cfg.Envoy.AdminAddress)
	if err != nil {
		return nil, fmt.Errorf("app: envoy.admin_address: %w", err)
	}
	b.AdminAddress, b.AdminPort = a.Addr().String(), uint32(a.Port())
	b.MaxConnections, b.MaxHeap = cfg.Envoy.MaxConnections, cfg.Envoy.MaxHeap
	return xds.Bootstrap(b)
}

func logger(c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %q is not debug, info, warn or error", c.Level)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
}

// receiptWriter opens where receipts go, for appending.
func receiptWriter(c config.Receipts, stdout io.Writer) (io.Writer, func() error, error) {
	if c.Path == "stdout" {
		return stdout, func() error { return nil }, nil
	}
	f, err := os.OpenFile(c.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("receipts.path: %w", err)
	}
	return f, f.Close, nil
}
