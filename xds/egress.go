package xds

import (
	"errors"
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// Egress is one address through which workloads go out: a forward proxy that
// goes only where the ext_authz service says, and only to the address that it
// judged.
type Egress struct {
	Name      string // unique among all listeners
	Address   string // IP address
	Port      uint32
	TLS       *ListenerTLS
	Workloads []Workway
}

// Workway is how one workload goes out: it has routes and connections of its own,
// so that none can use up what another needs.
type Workway struct {
	Name           string        // as the service calls it
	MaxConnections uint32        // to destinations
	MaxRequest     uint64        // bytes sent in one request or tunnel; 0 for no limit
	MaxResponse    uint64        // bytes received, likewise
	ConnectTimeout time.Duration // to a destination
	Idle           time.Duration // silence in both directions
	MaxTime        time.Duration // of one request or tunnel; 0 for no limit
}

// egressRoutes returns the name of the route configuration of an egress listener.
func egressRoutes(listener string) string { return "egress/" + listener }

// egressCluster returns the name of the cluster by which a workload goes out.
func egressCluster(listener, workload string) string { return "egress/" + listener + "/" + workload }

func (e *Egress) validate(w *Workload) error {
	var errs []error
	if err := e.TLS.validate(w); err != nil {
		errs = append(errs, err)
	}
	seen := map[string]bool{}
	for _, l := range e.Workloads {
		switch {
		case !validName(l.Name) || seen[l.Name]:
			errs = append(errs, fmt.Errorf("workload %q: the name must be 1 to 63 of a-z, 0-9 and inner hyphens, and unique", l.Name))
		case l.MaxConnections == 0 || l.ConnectTimeout <= 0 || l.Idle <= 0 || l.MaxTime < 0:
			errs = append(errs, fmt.Errorf("workload %q: connections and timeouts must be positive", l.Name))
		}
		seen[l.Name] = true
	}
	return errors.Join(errs...)
}

// egressRouteConfig leads each workload its own way. The service says who is
// asking, in metadata that no client can write; before it has spoken no route
// fits, so that nothing goes out unjudged.
func (b *builder) egressRouteConfig(e *Egress) *routev3.RouteConfiguration {
	host := &routev3.VirtualHost{
		Name: "egress", Domains: []string{"*"},
		// What Envoy and proxies say of the inside is nobody's business outside.
		RequestHeadersToRemove: []string{"proxy-authorization", "x-forwarded-proto", "x-envoy-external-address"},
	}
	for i := range e.Workloads {
		w := &e.Workloads[i]
		who := []*envoymatcherv3.MetadataMatcher{{
			Filter: envoymap.AuthzNamespace,
			Path:   []*envoymatcherv3.MetadataMatcher_PathSegment{{Segment: &envoymatcherv3.MetadataMatcher_PathSegment_Key{Key: envoymap.WorkloadKey}}},
			Value: &envoymatcherv3.ValueMatcher{MatchPattern: &envoymatcherv3.ValueMatcher_StringMatch{
				StringMatch: &envoymatcherv3.StringMatcher{MatchPattern: &envoymatcherv3.StringMatcher_Exact{Exact: w.Name}},
			}},
		}}
		tunnel := b.egressRoute(e, w, w.Name+"/tunnel", &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_ConnectMatcher_{ConnectMatcher: &routev3.RouteMatch_ConnectMatcher{}}, DynamicMetadata: who,
		})
		tunnel.GetRoute().UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{
			UpgradeType: "CONNECT", ConnectConfig: &routev3.RouteAction_UpgradeConfig_ConnectConfig{},
		}}
		host.Routes = append(host.Routes, tunnel, b.egressRoute(e, w, w.Name+"/request", &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}, DynamicMetadata: who,
		}))
	}
	// ext_authz is not asked about what no route fits, so that some route must.
	for _, m := range []*routev3.RouteMatch{
		{PathSpecifier: &routev3.RouteMatch_ConnectMatcher_{ConnectMatcher: &routev3.RouteMatch_ConnectMatcher{}}},
		{PathSpecifier: &routev3.RouteMatch_Prefix{}},
	} {
		host.Routes = append(host.Routes, &routev3.Route{Match: m, Action: &routev3.Route_DirectResponse{
			DirectResponse: &routev3.DirectResponseAction{Status: 503}, // the local reply configuration writes the body
		}})
	}
	return &routev3.RouteConfiguration{Name: egressRoutes(e.Name), VirtualHosts: []*routev3.VirtualHost{host}}
}

func (b *builder) egressRoute(e *Egress, w *Workway, name string, m *routev3.RouteMatch) *routev3.Route {
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: egressCluster(e.Name, w.Name)},
		Timeout:          seconds(0),
		IdleTimeout:      seconds(w.Idle),
	}
	if w.MaxTime > 0 {
		action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: seconds(w.MaxTime)}
	}
	b.uses[egressCluster(e.Name, w.Name)] = true
	return &routev3.Route{
		Name: name, Match: m, Action: &routev3.Route_Route{Route: action}, TypedPerFilterConfig: b.byteLimits(e, w),
	}
}

// egressCluster connects to the address in the service's metadata and to nothing
// else: looking the name up again could find another one.
func (b *builder) egressCluster(e *Egress, w *Workway) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          egressCluster(e.Name, w.Name),
		AltStatName:                   "egress_" + e.Name + "_" + w.Name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:                      clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:                seconds(w.ConnectTimeout),
		PerConnectionBufferLimitBytes: number(bufferLimit),
		UpstreamConnectionOptions:     keepAlive(),
		CleanupInterval:               seconds(time.Minute),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections: number(w.MaxConnections), MaxPendingRequests: number(w.MaxConnections), MaxRequests: number(w.MaxConnections), MaxRetries: number(1),
		}}},
		LbConfig: &clusterv3.Cluster_OriginalDstLbConfig_{OriginalDstLbConfig: &clusterv3.Cluster_OriginalDstLbConfig{
			MetadataKey: &metadatav3.MetadataKey{
				Key:  envoymap.AuthzNamespace,
				Path: []*metadatav3.MetadataKey_PathSegment{{Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: envoymap.AddressKey}}},
			},
		}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpOptionsKey: b.pack(&httpv3.HttpProtocolOptions{
			CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: seconds(b.UpstreamIdle), MaxHeadersCount: number(b.MaxHeaders)},
			UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
			}},
		})},
	}
}
