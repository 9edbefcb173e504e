package xds

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrRejected is returned for a configuration that an Envoy has refused before.
var ErrRejected = errors.New("xds: an Envoy has rejected exactly this configuration")

// Options tune a [Server]. Zero values mean the defaults.
type Options struct {
	// Debounce is how long the server waits for more changes before it pushes
	// one; default 50 ms. Changes that keep coming are pushed after ten times
	// that.
	Debounce time.Duration
	// StepTimeout is how long the server waits for all Envoys to acknowledge
	// one step before it takes the next; default 10 s. Envoy acknowledges
	// clusters when they are warm, so an unreachable new server takes as long
	// as its first health check.
	StepTimeout time.Duration
	// Grace is how long a cluster stays after the last route to it has gone;
	// default 5 s. Requests that were routed before still look it up when
	// ext_proc has decided, so it must exceed [Settings.MessageTimeout] twice.
	Grace time.Duration
	// MaxNodes is how many Envoys may be connected; default 1000.
	MaxNodes int
	// Hooks are called on events, for metrics.
	Hooks Hooks
}

// Hooks are called on events, from several goroutines, and must not block. Any
// may be nil. The kind is "listeners", "routes", "clusters" or "secrets".
type Hooks struct {
	Pushed    func(version string, took time.Duration) // all steps taken, accepted or not
	Acked     func(kind string)
	Rejected  func(kind string)
	Reverted  func(rejected, good string) // versions; good serves again; must not call the server
	Connected func(nodes int)
	Refused   func(why string) // a stream: "state_of_the_world" or "too_many_nodes"
}

// Server serves one configuration to all Envoys that connect.
//
// What is [Server.Push]ed goes out in steps that lose no request: first
// clusters, new ones beside old; when they are warm, routes and listeners; when
// no route uses them any more, old clusters go. If an Envoy rejects a
// configuration that not all have accepted yet, all get the last good one back.
type Server struct {
	log   *slog.Logger
	opts  Options
	cache cache.SnapshotCache
	kick  chan struct{} // capacity 1: something to do for Run

	mu       sync.Mutex
	changed  chan struct{}        // closed and replaced whenever the fields below change
	nodes    map[int64]*node      // by stream
	desired  *generation          // what was pushed last; nil when Run has taken it
	latest   *generation          // what Envoys are given, or are on their way to
	good     *generation          // the last that was accepted
	served   content              // what the cache holds: latest and leftovers
	versions map[string]string    // of served, by type
	source   map[sent]*generation // which generation brought a version of a type
	retired  map[string]time.Time // clusters that no route uses any more, since when
	rejected map[string]*NACK     // by version of the generation
	step     string
	pushedAt time.Time
	recent   []NACK
	gone     []NodeStatus // recently disconnected
	counts   Counters
}

// generation is one configuration that was pushed.
type generation struct {
	content content
	version string
	relaxed bool  // one acceptance is enough, waiting for all has timed out
	nacked  *NACK // the first rejection; guarded by the server's mutex, like relaxed
}

// New returns a server that serves nothing until the first [Server.Push], and
// pushes nothing until [Server.Run].
func New(log *slog.Logger, o Options) *Server {
	o.Debounce = or(o.Debounce, 50*time.Millisecond)
	o.StepTimeout = or(o.StepTimeout, 10*time.Second)
	o.Grace = or(o.Grace, 5*time.Second)
	if o.MaxNodes <= 0 {
		o.MaxNodes = 1000
	}
	return &Server{
		log: log, opts: o,
		cache:    cache.NewSnapshotCache(true, fleet{}, nil),
		kick:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
		nodes:    map[int64]*node{},
		source:   map[sent]*generation{},
		retired:  map[string]time.Time{},
		rejected: map[string]*NACK{},
	}
}

// fleet is the key of the snapshot: all Envoys get the same.
type fleet struct{}

const fleetKey = "fleet"

func (fleet) ID(*corev3.Node) string { return fleetKey }

// Register adds the service to g. Call it before g serves.
func (s *Server) Register(g *grpc.Server) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, &service{
		server: s,
		delta:  delta.NewServer(context.Background(), s.cache, callbacks{s}),
	})
}

// service is the gRPC face.
type service struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
	delta  delta.Server
}

func (s *service) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.delta.DeltaStreamHandler(stream, resource.AnyType)
}

// StreamAggregatedResources refuses: with whole states, a configuration that
// Envoy rejects would be sent again at once, thousands of times a second.
func (s *service) StreamAggregatedResources(discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	s.server.refuse("state_of_the_world")
	return status.Error(codes.Unimplemented, "sallyport serves delta xDS only: set ads_config.api_type to DELTA_GRPC")
}

func (s *Server) refuse(why string) {
	s.mu.Lock()
	s.counts.Refused++
	s.mu.Unlock()
	s.log.Warn("xds stream refused", "why", why)
	if f := s.opts.Hooks.Refused; f != nil {
		f(why)
	}
}

// notify wakes whoever waits for a change. The caller holds mu.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wake makes Run look for work.
func (s *Server) wake() {
	select {
	case s.kick <- struct{}{}:
	default: // it will look anyway
	}
}
