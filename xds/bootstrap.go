package xds

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/types/known/structpb"
)

// BootstrapSettings are what an Envoy must know before it can ask for the rest.
// Start from [DefaultBootstrap].
type BootstrapSettings struct {
	NodeID      string // names this Envoy in the status; unique in the fleet
	NodeCluster string // names the fleet
	XDS         string // address of the xDS server: host:port or unix:PATH

	// AdminAddress and AdminPort are Envoy's admin interface, which can stop
	// Envoy and shows its whole configuration: a loopback address. With port 0
	// Envoy picks one and writes it to the file of --admin-address-path.
	AdminAddress string
	AdminPort    uint32

	// MaxConnections limits the client connections of all listeners.
	MaxConnections int64
	// MaxHeap is the memory in bytes that Envoy may allocate: from 92 % on it
	// gives memory back, from 97 % on it refuses requests.
	MaxHeap uint64
}

// DefaultBootstrap returns the bootstrap settings of a gateway on one machine.
func DefaultBootstrap() BootstrapSettings {
	return BootstrapSettings{
		NodeID: "sallyport", NodeCluster: "sallyport", XDS: "127.0.0.1:9002",
		AdminAddress: "127.0.0.1", AdminPort: 9004, MaxConnections: 10_000, MaxHeap: 1 << 30,
	}
}

const xdsCluster = "sallyport_xds"

// Bootstrap returns an Envoy bootstrap as YAML: everything but the way to the
// xDS server comes from there, over one delta stream.
func Bootstrap(s BootstrapSettings) ([]byte, error) {
	m, err := bootstrap(s)
	if err != nil {
		return nil, err
	}
	t, err := treeOf(m)
	if err != nil {
		return nil, fmt.Errorf("xds: bootstrap: %w", err)
	}
	y, err := yaml.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("xds: bootstrap: %w", err)
	}
	return y, nil
}

func bootstrap(s BootstrapSettings) (*bootstrapv3.Bootstrap, error) {
	t, err := parseTarget(s.XDS)
	if err != nil {
		return nil, fmt.Errorf("xds: bootstrap: xds address: %w", err)
	}
	admin, err := netip.ParseAddr(s.AdminAddress)
	switch {
	case err != nil:
		return nil, fmt.Errorf("xds: bootstrap: admin address: %w", err)
	case !admin.IsLoopback():
		return nil, fmt.Errorf("xds: bootstrap: admin address %s: must be a loopback address, whoever reaches it controls Envoy", admin)
	case s.AdminPort > 65535:
		return nil, fmt.Errorf("xds: bootstrap: admin port %d is out of range", s.AdminPort)
	case s.NodeID == "" || s.NodeCluster == "":
		return nil, errors.New("xds: bootstrap: node id and cluster must be set")
	case s.MaxConnections <= 0 || s.MaxHeap < 64<<20:
		return nil, errors.New("xds: bootstrap: connections must be positive and the heap at least 64 MiB")
	}
	p := &packer{}
	m := &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: s.NodeID, Cluster: s.NodeCluster},
		Admin: &bootstrapv3.Admin{Address: socketAddress(s.AdminAddress, s.AdminPort)},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			AdsConfig: adsSource(), CdsConfig: fromADS(), LdsConfig: fromADS(),
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters: []*clusterv3.Cluster{p.grpcCluster(xdsCluster, t)},
		},
		OverloadManager: p.overload(s),
		LayeredRuntime:  p.runtime(),
	}
	if p.err != nil {
		return nil, fmt.Errorf("xds: bootstrap: %w", p.err)
	}
	if err := m.ValidateAll(); err != nil {
		return nil, fmt.Errorf("xds: bootstrap: %w", err)
	}
	return m, nil
}

// adsSource asks for deltas, because with whole states a rejected resource is
// sent again and again without pause. Envoy's own wait between reconnections
// grows to 30 s; ours stays below 2 s.
func adsSource() *corev3.ApiConfigSource {
	return &corev3.ApiConfigSource{
		ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
		TransportApiVersion:       corev3.ApiVersion_V3,
		SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
				ClusterName: xdsCluster,
				RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
					BaseInterval: seconds(500 * time.Millisecond), MaxInterval: seconds(2 * time.Second),
				}},
			},
		}}},
	}
}

// runtime has Envoy send its spans by the second or the hundreds. By itself it
// sends five at a time, and a traced request costs twice as much.
func (p *packer) runtime() *bootstrapv3.LayeredRuntime {
	values, err := structpb.NewStruct(map[string]any{
		"tracing.opentelemetry.flush_interval_ms": 1000,
		"tracing.opentelemetry.min_flush_spans":   256,
	})
	p.err = errors.Join(p.err, err)
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{
		{Name: "static", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: values}},
		// What Envoy has where nothing is said of layers: /runtime_modify.
		{Name: "admin", LayerSpecifier: &bootstrapv3.RuntimeLayer_AdminLayer_{AdminLayer: &bootstrapv3.RuntimeLayer_AdminLayer{}}},
	}}
}

func (p *packer) overload(s BootstrapSettings) *overloadv3.OverloadManager {
	const heap = "envoy.resource_monitors.fixed_heap"
	const connections = "envoy.resource_monitors.global_downstream_max_connections"
	above := func(action string, share float64) *overloadv3.OverloadAction {
		return &overloadv3.OverloadAction{Name: action, Triggers: []*overloadv3.Trigger{{
			Name:         heap,
			TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: share}},
		}}}
	}
	return &overloadv3.OverloadManager{
		RefreshInterval: seconds(250 * time.Millisecond),
		ResourceMonitors: []*overloadv3.ResourceMonitor{
			{Name: heap, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
				TypedConfig: p.pack(&heapv3.FixedHeapConfig{MaxHeapSizeBytes: s.MaxHeap}),
			}},
			{Name: connections, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
				TypedConfig: p.pack(&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: s.MaxConnections}),
			}},
		},
		Actions: []*overloadv3.OverloadAction{
			above("envoy.overload_actions.shrink_heap", 0.92),
			above("envoy.overload_actions.stop_accepting_requests", 0.97),
		},
	}
}
