package app

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/surge"
	"github.com/sallyport/sallyport/xds"
)

// Status is the body of /v1/status.
type Status struct {
	Ready         bool           `json:"ready"`
	NotReady      string         `json:"not_ready,omitempty"` // why
	Config        ConfigStatus   `json:"config"`
	Servers       int            `json:"servers"`
	Guards        []Guard        `json:"guards"`
	Policy        PolicyStatus   `json:"policy"`
	Replicas      []Replica      `json:"replicas"` // this one first; others where there is a Redis
	Receipts      Receipts       `json:"receipts"`
	Quota         Quota          `json:"quota"`
	Budget        Accounts       `json:"budget"`
	Surge         []surge.Status `json:"surge,omitempty"`
	Binding       Binding        `json:"binding"`
	Conduct       Conduct        `json:"conduct"`
	Flow          Flow           `json:"flow"`    // labels that callers carry
	Catalog       CatalogStatus  `json:"catalog"` // definitions of servers
	Revocations   Revocations    `json:"revocations"`
	OpenStreams   int            `json:"open_streams"`
	ExtAuthz      ExtAuthz       `json:"ext_authz"`
	SPIFFE        *SPIFFE        `json:"spiffe,omitempty"`
	EnvoyRestarts uint64         `json:"envoy_restarts"`
	XDS           xds.Status     `json:"xds"`
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
	Trouble string `json:"trouble,omitempty"` // why none are kept at the moment

	Unpublished string `json:"unpublished,omitempty"` // why checkpoints do not reach receipts.publish

	Sinks []deliver.Status `json:"sinks,omitempty"`
}

func (g *Gateway) status() Status {
	snap := g.holder.Current()
	s := Status{Ready: true, Servers: len(snap.View.Servers()), OpenStreams: g.procs.Open(), XDS: g.xds.Status()}
	if err := g.ready(); err != nil {
		s.Ready, s.NotReady = false, err.Error()
	}
	st := g.source.Status()
	s.Config = ConfigStatus{Path: st.Path, Revision: st.Revision, Since: st.Since, Changes: st.Reloads, Refused: st.Refused}
	if st.Error != nil {
		s.Config.Error = st.Error.Error()
	} else if v := g.judges.refused(); v != "" {
		s.Config.Error = "Envoy rejected the configuration (version " + v + "); the last good one serves on" + because(s.XDS.NACKs, v)
	}
	if st.Watch != nil {
		s.Config.Watch = st.Watch.Error()
	}
	for _, m := range snap.Chain.Members() {
		s.Guards = append(s.Guards, Guard{m.Spec.Name, m.Mode.String(), m.OnError.String()})
	}
	s.Policy, s.Replicas = g.policyStatus(snap), g.replicas()
	s.Receipts.Written, s.Receipts.Dropped, s.Receipts.Failed = g.receipts.Counts()
	s.Receipts.Sinks = g.sinkStatus()
	s.Quota = g.lasting.limits.status()
	s.Budget = g.lasting.budgets.status()
	s.Binding = bindingStatus(g.source.Current(), snap)
	s.Surge = g.lasting.surges.status()
	s.Conduct = g.lasting.conduct.status()
	s.Flow = g.lasting.flows.status()
	s.Catalog = g.lasting.books.status()
	s.Revocations = g.revocations()
	s.ExtAuthz.Available = snap.RequestsOnly == nil
	if !s.ExtAuthz.Available {
		s.ExtAuthz.Why = snap.RequestsOnly.Error()
	}
	if err := g.receipts.Trouble(); err != nil {
		s.Receipts.Trouble = err.Error()
	}
	if err := g.unpublished(); err != nil {
		s.Receipts.Unpublished = err.Error()
	}
	s.SPIFFE = g.spiffeStatus()
	s.EnvoyRestarts = g.restarts()
	return s
}

// because is what Envoy said about a version.
func because(nacks []xds.NACK, version string) string {
	for _, n := range slices.Backward(nacks) {
		if n.Version == version {
			return ": " + n.Kind + ": " + strings.TrimSpace(n.Message)
		}
	}
	return ""
}

// configRejected reports whether what the files say is not in force.
func (g *Gateway) configRejected() bool {
	return g.source.Status().Error != nil || g.judges.refused() != ""
}

func (g *Gateway) restarts() uint64 {
	if g.envoy == nil {
		return 0
	}
	return g.envoy.Restarts()
}
