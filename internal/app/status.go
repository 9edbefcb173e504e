package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/xds"
)

// Status is the body of /v1/status.
type Status struct {
	Ready         bool         `json:"ready"`
	Config        ConfigStatus `json:"config"`
	Servers       int          `json:"servers"`
	Guards        []Guard      `json:"guards"`
	Receipts      Receipts     `json:"receipts"`
	OpenStreams   int          `json:"open_streams"`
	EnvoyRestarts uint64       `json:"envoy_restarts"`
	XDS           xds.Status   `json:"xds"`
}

// ConfigStatus tells which configuration serves, and why a newer one does not.
type ConfigStatus struct {
	Path     string    `json:"path"`
	Revision string    `json:"revision"`
	Since    time.Time `json:"since"`
	Error    string    `json:"error,omitempty"` // of the files as they are now
	Failed   uint64    `json:"failed_reloads"`
}

// Guard is one guard of the chain.
type Guard struct {
	Name    string `json:"name"`
	Mode    string `json:"mode"`
	OnError string `json:"on_error"`
}

// Receipts counts receipts.
type Receipts struct {
	Written uint64 `json:"written"`
	Dropped uint64 `json:"dropped"`
	Failed  uint64 `json:"failed"`
}

func (g *Gateway) status() Status {
	snap := g.holder.Current()
	s := Status{Ready: g.ready() == nil, Servers: len(snap.View.Servers()), OpenStreams: g.procs.Open(), XDS: g.xds.Status()}
	g.state.mu.Lock()
	s.Config = ConfigStatus{Path: g.o.Config, Revision: g.state.print, Since: g.state.since, Error: g.state.err, Failed: g.state.failed}
	g.state.mu.Unlock()
	for _, m := range snap.Chain.Members() {
		s.Guards = append(s.Guards, Guard{m.Spec.Name, m.Mode.String(), m.OnError.String()})
	}
	s.Receipts.Written, s.Receipts.Dropped, s.Receipts.Failed = g.receipts.Counts()
	if g.envoy != nil {
		s.EnvoyRestarts = g.envoy.Restarts()
	}
	return s
}

// fingerprint names a configuration together with its servers.
func fingerprint(cfg *config.Config, view viewOf) string {
	b, err := json.Marshal([]any{cfg, view.Servers()})
	if err != nil { // of plain data: cannot happen, and then every reload is a change
		return err.Error()
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// instruments shows in metrics what the status shows.
func (g *Gateway) instruments() error {
	flag := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	for name, f := range map[string]func() int64{
		"mcp.gateway.ready":           func() int64 { return flag(g.ready() == nil) },
		"mcp.gateway.config.rejected": func() int64 { return flag(g.status().Config.Error != "") },
		"mcp.gateway.servers":         func() int64 { return int64(len(g.holder.Current().View.Servers())) },
		"mcp.gateway.streams.open":    func() int64 { return int64(g.procs.Open()) },
	} {
		if err := g.metrics.Gauge(name, "See docs/operations.md.", f); err != nil {
			return err
		}
	}
	for name, f := range map[string]func() uint64{
		"mcp.gateway.receipts.written": func() uint64 { n, _, _ := g.receipts.Counts(); return n },
		"mcp.gateway.receipts.dropped": func() uint64 { _, n, _ := g.receipts.Counts(); return n },
		"mcp.gateway.receipts.failed":  func() uint64 { _, _, n := g.receipts.Counts(); return n },
		"mcp.gateway.xds.nacks":        func() uint64 { return g.xds.Status().Counters.NACKs },
		"mcp.gateway.xds.reverts":      func() uint64 { return g.xds.Status().Counters.Reverts },
		"mcp.gateway.xds.pushes":       func() uint64 { return g.xds.Status().Counters.Pushes },
		"mcp.gateway.envoy.restarts":   func() uint64 { return g.status().EnvoyRestarts },
		"mcp.gateway.config.failures":  func() uint64 { return g.status().Config.Failed },
	} {
		if err := g.metrics.Counter(name, "See docs/operations.md.", f); err != nil {
			return err
		}
	}
	return nil
}
