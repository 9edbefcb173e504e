package xds

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxRecent   = 16   // NACKs and disconnected nodes that the status remembers
	maxRejected = 1024 // configurations that are known to be bad; then it forgets them
)

// NACK is an Envoy's refusal of a configuration.
type NACK struct {
	Node    string    `json:"node"`
	Kind    string    `json:"kind"`    // listeners, routes, clusters or secrets
	Version string    `json:"version"` // of the configuration
	Message string    `json:"message"` // Envoy's words
	At      time.Time `json:"at"`
}

// Status tells what the server serves and how Envoys like it.
type Status struct {
	Ready     bool           `json:"ready"`
	Version   string         `json:"version"`        // of the configuration in force or on its way
	Good      string         `json:"good"`           // of the last one that Envoys accepted
	Step      string         `json:"step,omitempty"` // clusters, routes or removal, while a push is under way
	PushedAt  time.Time      `json:"pushed_at"`
	Resources map[string]int `json:"resources"` // number of resources by kind
	Nodes     []NodeStatus   `json:"nodes"`     // connected first
	NACKs     []NACK         `json:"nacks"`     // the latest, oldest first
	Counters  Counters       `json:"counters"`
}

// NodeStatus is one Envoy.
type NodeStatus struct {
	ID        string            `json:"id"`
	Cluster   string            `json:"cluster"`
	Build     string            `json:"build"`
	Connected bool              `json:"connected"`
	Since     time.Time         `json:"since"`              // of the connection, or of its end
	Acked     map[string]string `json:"acked"`              // version of the accepted resources by kind
	UpToDate  bool              `json:"up_to_date"`         // has accepted everything that is served
	Rejected  *NACK             `json:"rejected,omitempty"` // its last
}

// Counters count since the server was made.
type Counters struct {
	Pushes        uint64 `json:"pushes"`
	PushesRefused uint64 `json:"pushes_refused"` // configurations that were rejected before
	Reverts       uint64 `json:"reverts"`
	Streams       uint64 `json:"streams"`
	Refused       uint64 `json:"streams_refused"`
	Sent          uint64 `json:"resources_sent"`
	Acks          uint64 `json:"acks"`
	NACKs         uint64 `json:"nacks"`
}

// Status returns the state of this moment.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{
		Ready: s.ready(), Step: s.step, PushedAt: s.pushedAt, Counters: s.counts,
		Resources: map[string]int{}, NACKs: slices.Clone(s.recent), Nodes: []NodeStatus{},
	}
	if s.latest != nil {
		out.Version = s.latest.version
	}
	if s.good != nil {
		out.Good = s.good.version
	}
	for _, t := range types {
		out.Resources[short(t)] = len(s.served[t])
	}
	for _, n := range s.nodes {
		out.Nodes = append(out.Nodes, n.status(s))
	}
	slices.SortFunc(out.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.ID, b.ID) })
	out.Nodes = append(out.Nodes, s.gone...)
	return out
}

// Ready reports whether an Envoy is connected that has accepted listeners,
// clusters and routes of a good configuration.
func (s *Server) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready()
}

func (s *Server) ready() bool {
	if s.good == nil {
		return false
	}
	for _, n := range s.nodes {
		complete := true
		for _, t := range settled {
			complete = complete && n.acked[t] != ""
		}
		if complete {
			return true
		}
	}
	return false
}

func (n *node) status(s *Server) NodeStatus {
	out := NodeStatus{
		ID: n.id, Cluster: n.cluster, Build: n.build, Connected: true, Since: n.since,
		Acked: make(map[string]string, len(n.acked)), UpToDate: s.versions != nil && n.accepted(s.versions, settled),
		Rejected: n.last,
	}
	for t, v := range maps.All(n.acked) {
		out.Acked[short(t)] = v
	}
	return out
}

// remember keeps the last words of a node that left. The caller holds mu.
func (s *Server) remember(n *node) {
	st := n.status(s)
	st.Connected, st.UpToDate, st.Since = false, false, time.Now()
	s.gone = slices.DeleteFunc(s.gone, func(o NodeStatus) bool { return o.ID == st.ID })
	s.gone = append(s.gone, st)
	if len(s.gone) > maxRecent {
		s.gone = s.gone[1:]
	}
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
