package app

import (
	"time"

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
	ExtAuthz      ExtAuthz     `json:"ext_authz"`
	EnvoyRestarts uint64       `json:"envoy_restarts"`
	XDS           xds.Status   `json:"xds"`
}

// ConfigStatus tells which configuration serves, and why a newer one does not.
type ConfigStatus struct {
	Path     string    `json:"path"`
	Revision string    `json:"revision"`
	Since    time.Time `json:"since"`
	Error    string    `json:"error,omitempty"`       // of the files as they are now
	Watch    string    `json:"watch_error,omitempty"` // changes are noticed late
	Changes  uint64    `json:"changes"`
	Refused  uint64    `json:"refused_changes"`
}

// Guard is one guard of the chain.
type Guard struct {
	Name    string `json:"name"`
	Mode    string `json:"mode"`
	OnError string `json:"on_error"`
}

// ExtAuthz tells whether ext_authz serves, or why it refuses every request.
type ExtAuthz struct {
	Available bool   `json:"available"`
	Why       string `json:"why_not,omitempty"`
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
	st := g.source.Status()
	s.Config = ConfigStatus{Path: st.Path, Revision: st.Revision, Since: st.Since, Changes: st.Reloads, Refused: st.Refused}
	if st.Error != nil {
		s.Config.Error = st.Error.Error()
	} else if v := g.judges.refused(); v != "" {
		s.Config.Error = "Envoy rejected the configuration (version " + v + "); the last good one serves on; see xds.nacks"
	}
	if st.Watch != nil {
		s.Config.Watch = st.Watch.Error()
	}
	for _, m := range snap.Chain.Members() {
		s.Guards = append(s.Guards, Guard{m.Spec.Name, m.Mode.String(), m.OnError.String()})
	}
	s.Receipts.Written, s.Receipts.Dropped, s.Receipts.Failed = g.receipts.Counts()
	s.ExtAuthz.Available = snap.RequestsOnly == nil
	if !s.ExtAuthz.Available {
		s.ExtAuthz.Why = snap.RequestsOnly.Error()
	}
	s.EnvoyRestarts = g.restarts()
	return s
}

func (g *Gateway) restarts() uint64 {
	if g.envoy == nil {
		return 0
	}
	return g.envoy.Restarts()
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
		"mcp.gateway.envoy.restarts":   g.restarts,
		"mcp.gateway.config.failures":  func() uint64 { return g.source.Status().Refused },
	} {
		if err := g.metrics.Counter(name, "See docs/operations.md.", f); err != nil {
			return err
		}
	}
	return nil
}
