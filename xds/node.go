package xds

import (
	"context"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// node is one connected Envoy. Its fields are guarded by the server's mutex.
type node struct {
	id, cluster, build string
	since              time.Time
	acked              map[string]string // by type: the version it has accepted
	refused            map[string]string // by type: the version it has rejected last
	sent               map[string]sent   // by nonce: what it has not answered yet
	routes             map[string]string // the routes it had when it connected, by name
	last               *NACK
}

// sent is one response: the version of all resources of one type.
type sent struct{ kind, version string }

// accepted reports whether the node has the given versions. One that rejected
// a version has them again when it has acknowledged what came instead: until
// then the library may not have sent it, and would leave it out if the rejected
// version came back.
func (n *node) accepted(versions map[string]string, kinds []string) bool {
	for _, t := range kinds {
		_, rejected := n.refused[t]
		if v, ok := n.acked[t]; !ok || v != versions[t] || rejected {
			return false
		}
	}
	return true
}

// answered reports whether the node has accepted or rejected the given
// versions; there is nothing to wait for then.
func (n *node) answered(versions map[string]string, kinds []string) bool {
	for _, t := range kinds {
		if !n.accepted(versions, []string{t}) && n.refused[t] != versions[t] {
			return false
		}
	}
	return true
}

// compare notices that a reconnected node has the routes already. It is not
// sent them then, so it will not acknowledge them either. (Listeners and
// clusters are always answered on a new stream.)
func (n *node) compare(s *Server) {
	if len(n.routes) == 0 || s.served == nil {
		return
	}
	for name, r := range s.served[routeType] {
		if n.routes[name] != r.version {
			return
		}
	}
	n.acked[routeType] = s.versions[routeType]
}

// callbacks keep the server's picture of the nodes. The library calls them from
// the goroutine of each stream.
type callbacks struct{ *Server }

func (s callbacks) OnDeltaStreamOpen(_ context.Context, stream int64, _ string) error {
	s.mu.Lock()
	full := len(s.nodes) >= s.opts.MaxNodes
	if !full {
		s.nodes[stream] = &node{since: time.Now(), acked: map[string]string{}, refused: map[string]string{}, sent: map[string]sent{}}
		s.counts.Streams++
	}
	connected := len(s.nodes)
	s.mu.Unlock()
	if full {
		s.refuse("too_many_nodes")
		return status.Errorf(codes.ResourceExhausted, "sallyport serves at most %d Envoys", s.opts.MaxNodes)
	}
	if f := s.opts.Hooks.Connected; f != nil {
		f(connected)
	}
	return nil
}

func (s callbacks) OnDeltaStreamClosed(stream int64, _ *corev3.Node) {
	s.mu.Lock()
	n := s.nodes[stream]
	delete(s.nodes, stream)
	connected := len(s.nodes)
	if n != nil {
		s.remember(n)
		s.accept()
		s.notify()
	}
	s.mu.Unlock()
	if n == nil { // it was refused
		return
	}
	s.log.Info("envoy disconnected from xds", "node", n.id)
	if f := s.opts.Hooks.Connected; f != nil {
		f(connected)
	}
}

func (s callbacks) OnStreamDeltaRequest(stream int64, r *discoveryv3.DeltaDiscoveryRequest) error {
	kind := short(r.GetTypeUrl())
	s.mu.Lock()
	n := s.nodes[stream]
	if n == nil {
		s.mu.Unlock()
		return status.Error(codes.Internal, "unknown stream")
	}
	if id := r.GetNode(); id != nil { // on the first message of a stream, perhaps only there
		if n.id == "" {
			s.log.Info("envoy connected to xds", "node", id.GetId(), "fleet", id.GetCluster(), "build", agent(id))
		}
		n.id, n.cluster, n.build = id.GetId(), id.GetCluster(), agent(id)
	}
	if v := r.GetInitialResourceVersions(); len(v) > 0 && r.GetTypeUrl() == routeType {
		n.routes = v
		n.compare(s.Server)
	}
	answered, known := n.sent[r.GetResponseNonce()]
	delete(n.sent, r.GetResponseNonce())
	var nack *NACK
	switch {
	case r.GetErrorDetail() != nil:
		nack = s.reject(n, answered, r.GetErrorDetail().GetMessage())
	case known:
		n.acked[answered.kind] = answered.version
		delete(n.refused, answered.kind)
		s.counts.Acks++
		s.accept()
	}
	s.notify()
	s.mu.Unlock()
	switch {
	case nack != nil:
		s.log.Error("envoy rejected a configuration", "node", nack.Node, "kind", nack.Kind, "version", nack.Version, "reason", nack.Message)
		if f := s.opts.Hooks.Rejected; f != nil {
			f(kind)
		}
	case known:
		if f := s.opts.Hooks.Acked; f != nil {
			f(kind)
		}
	}
	return nil
}

func (s callbacks) OnStreamDeltaResponse(stream int64, _ *discoveryv3.DeltaDiscoveryRequest, r *discoveryv3.DeltaDiscoveryResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[stream]
	if n == nil {
		return
	}
	s.counts.Sent += uint64(len(r.GetResources()))
	if r.GetTypeUrl() == routeType {
		n.routes = nil // from now on its answers tell
	}
	n.sent[r.GetNonce()] = sent{r.GetTypeUrl(), r.GetSystemVersionInfo()}
}

// reject books a rejection. If it concerns a configuration that is not the good
// one, that is never pushed again, and Run goes back. The caller holds mu.
func (s callbacks) reject(n *node, what sent, message string) *NACK {
	nack := &NACK{Node: n.id, Kind: short(what.kind), Message: message, At: time.Now()}
	s.counts.NACKs++
	n.last = nack
	n.refused[what.kind] = what.version
	g := s.source[what]
	if g != nil {
		nack.Version = g.version
	}
	s.recent = append(s.recent, *nack)
	if len(s.recent) > maxRecent {
		s.recent = s.recent[1:]
	}
	if g == nil || g == s.good {
		return nack // others run it well; this node keeps what it has
	}
	if g.nacked == nil {
		g.nacked = nack
		if len(s.rejected) >= maxRejected {
			clear(s.rejected)
		}
		s.rejected[g.version] = nack
	}
	if g == s.latest {
		s.wake()
	}
	return nack
}

func agent(n *corev3.Node) string {
	v := n.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return n.GetUserAgentName()
	}
	return n.GetUserAgentName() + " " + itoa(v.GetMajorNumber()) + "." + itoa(v.GetMinorNumber()) + "." + itoa(v.GetPatch())
}
