package xds

import (
	"net/netip"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sallyport/sallyport/internal/registry"
)

// Used where a registration leaves a value open.
const (
	defaultConnectTimeout = 5 * time.Second
	defaultCheckInterval  = 10 * time.Second
	defaultCheckTimeout   = 2 * time.Second
	defaultMaxConnections = 4096
	defaultMaxPending     = 1024
	defaultMaxRequests    = 4096
)

const (
	httpOptionsKey   = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	bufferLimit      = 1 << 20          // per connection, both ways
	quietCheck       = 60 * time.Second // between health checks of a cluster nobody calls
	maxParallelRetry = 64
)

// cluster returns the upstream of one version. The endpoints are part of it
// rather than served apart: a version changes in one step, and nothing has to
// wait for a second resource.
func (b *builder) cluster(srv *registry.Server, v *registry.Version) *clusterv3.Cluster {
	name := clusterName(srv.Name, v.Name)
	c := &clusterv3.Cluster{
		Name:                          name,
		AltStatName:                   strings.ReplaceAll(name, ".", "_"), // a dot would end the name in statistics
		ConnectTimeout:                seconds(or(v.ConnectTimeout, defaultConnectTimeout)),
		PerConnectionBufferLimitBytes: number(bufferLimit),
		CircuitBreakers:               breakers(v.Limits),
		HealthChecks:                  healthChecks(v),
		IgnoreHealthOnHostRemoval:     true,
		UpstreamConnectionOptions:     keepAlive(),
		LoadAssignment:                assignment(name, v),
		// Route to an unhealthy endpoint rather than to none: a wrong health
		// check must not take a server away. But as long as one endpoint is
		// healthy, only healthy ones are used.
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 1}},
		LbPolicy:       clusterv3.Cluster_LEAST_REQUEST,
	}
	b.discovery(c, hasNames(v))
	if len(v.Endpoints) > 1 { // ejecting the only endpoint would help nobody
		c.OutlierDetection = outliers()
	}
	options := &httpv3.HttpProtocolOptions{CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
		IdleTimeout:     seconds(b.UpstreamIdle),
		MaxHeadersCount: number(b.MaxHeaders),
	}}
	if v.Scheme == "https" {
		c.TransportSocket = b.upstreamTLS(v)
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
			HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
			Http2ProtocolOptions: http2Pings(),
		}}
	} else {
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
		}}
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: b.pack(options)}
	return c
}

func or[T ~int64 | ~uint32](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func assignment(cluster string, v *registry.Version) *endpointv3.ClusterLoadAssignment {
	hosts := make([]*endpointv3.LbEndpoint, 0, len(v.Endpoints))
	for _, e := range v.Endpoints {
		host := authority(v.Scheme, e)
		ep := &endpointv3.Endpoint{
			Address:           socketAddress(e.Host, uint32(e.Port)),
			Hostname:          host,
			HealthCheckConfig: &endpointv3.Endpoint_HealthCheckConfig{Hostname: host},
		}
		if v.Scheme == "https" {
			ep.Hostname = e.Host // also the server name in TLS, which has no port
		}
		hosts = append(hosts, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: ep}})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: hosts}}}
}

func hasNames(v *registry.Version) bool {
	for _, e := range v.Endpoints {
		if _, err := netip.ParseAddr(e.Host); err != nil {
			return true
		}
	}
	return false
}

// healthChecks also make a new version ready before calls go to it: Envoy
// waits for the first round before it uses a cluster.
func healthChecks(v *registry.Version) []*corev3.HealthCheck {
	h := v.Health
	if h.Disabled {
		return nil
	}
	c := &corev3.HealthCheck{
		Timeout:                      seconds(or(h.Timeout, defaultCheckTimeout)),
		Interval:                     seconds(or(h.Interval, defaultCheckInterval)),
		IntervalJitterPercent:        10, // thousands of servers should not be checked in step
		UnhealthyThreshold:           number(3),
		HealthyThreshold:             number(1),
		NoTrafficInterval:            seconds(quietCheck),
		AlwaysLogHealthCheckFailures: false,
	}
	if h.Path == "" {
		c.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
		return []*corev3.HealthCheck{c}
	}
	c.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{
		Path:             h.Path,
		ExpectedStatuses: []*typev3.Int64Range{{Start: 200, End: 300}},
	}}
	return []*corev3.HealthCheck{c}
}

// outliers ejects an endpoint that cannot be reached or whose own proxy says
// so. A 500 is an MCP server's ordinary way to fail one call and ejects nobody.
func outliers() *clusterv3.OutlierDetection {
	return &clusterv3.OutlierDetection{
		SplitExternalLocalOriginErrors:         true,
		ConsecutiveLocalOriginFailure:          number(3),
		EnforcingConsecutiveLocalOriginFailure: number(100),
		EnforcingLocalOriginSuccessRate:        number(0),
		ConsecutiveGatewayFailure:              number(5),
		EnforcingConsecutiveGatewayFailure:     number(100),
		EnforcingConsecutive_5Xx:               number(0),
		EnforcingSuccessRate:                   number(0),
		Interval:                               seconds(5 * time.Second),
		BaseEjectionTime:                       seconds(10 * time.Second),
		MaxEjectionTime:                        seconds(2 * time.Minute),
		MaxEjectionPercent:                     number(50),
	}
}

func breakers(l registry.Limits) *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     number(or(l.MaxConnections, defaultMaxConnections)),
		MaxPendingRequests: number(or(l.MaxPending, defaultMaxPending)),
		MaxRequests:        number(or(l.MaxRequests, defaultMaxRequests)),
		MaxRetries:         number(maxParallelRetry),
	}}}
}

func keepAlive() *clusterv3.UpstreamConnectionOptions {
	return &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveProbes: number(3), KeepaliveTime: number(60), KeepaliveInterval: number(15),
	}}
}

func http2Pings() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{ConnectionKeepalive: &corev3.KeepaliveSettings{
		Interval: seconds(30 * time.Second), Timeout: seconds(5 * time.Second),
	}}
}

// bounded keeps what Envoy takes from one stream of a gRPC service small. Envoy
// reads such a stream although the client does not read what came of it, and by
// default a window of each is 16 MiB: what a client that reads nothing costs.
func bounded(o *corev3.Http2ProtocolOptions) *corev3.Http2ProtocolOptions {
	o.InitialStreamWindowSize, o.InitialConnectionWindowSize = number(256<<10), number(16<<20)
	return o
}

// grpcCluster returns a cluster for one of our own gRPC services.
func (p *packer) grpcCluster(name string, t target) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                          name,
		ConnectTimeout:                seconds(time.Second),
		PerConnectionBufferLimitBytes: number(bufferLimit),
		UpstreamConnectionOptions:     keepAlive(),
		// One HTTP/2 stream lives as long as the exchange it belongs to, an SSE
		// stream of an hour included; the default of 1024 would refuse the rest.
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections: number(1024), MaxPendingRequests: number(100_000), MaxRequests: number(100_000), MaxRetries: number(3),
		}}},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: t.address}},
			}}}},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptionsKey: p.pack(&httpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: bounded(http2Pings())},
			}},
		})},
	}
	p.discovery(c, t.dns)
	return c
}

// discovery says where a cluster's addresses come from: they are given, or all
// addresses of its names, looked up again as their records expire.
func (p *packer) discovery(c *clusterv3.Cluster, names bool) {
	if !names {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		return
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.cluster.dns",
		TypedConfig: p.pack(&dnsv3.DnsCluster{
			RespectDnsTtl:         true,
			DnsLookupFamily:       commondnsv3.DnsLookupFamily_V4_PREFERRED,
			DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{BaseInterval: seconds(time.Second), MaxInterval: seconds(5 * time.Second)},
		}),
	}}
}
