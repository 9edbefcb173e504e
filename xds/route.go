package xds

import (
	"net"
	"strconv"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sallyport/sallyport/internal/registry"
)

// entry is what one path leads to: routes, of which the first that matches is
// taken.
type entry struct {
	path   string
	routes []*routev3.Route
}

// routeConfig puts all servers into one hash map keyed by the path, so that
// the cost of finding a route does not grow with the number of servers. The key
// is the whole :path header: a query, a trailing slash or anything else leads
// to no route, and nothing of it can reach a server.
func (b *builder) routeConfig(table []entry) *routev3.RouteConfiguration {
	host := &routev3.VirtualHost{
		Name:    "mcp",
		Domains: []string{"*"},
		// Also for requests that bypassed ext_proc's own removal.
		RequestHeadersToRemove: []string{versionHeader},
		// What a server says about its own software helps only attackers.
		ResponseHeadersToRemove: []string{"server", "x-powered-by"},
		RequestBodyBufferLimit:  wrapperspb.UInt64(b.BodyLimit),
	}
	if len(table) > 0 {
		paths := make(map[string]*matcherv3.Matcher_OnMatch, len(table))
		for _, e := range table {
			paths[e.path] = &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
				Action: &xdscorev3.TypedExtensionConfig{Name: "routes", TypedConfig: b.pack(&routev3.RouteList{Routes: e.routes})},
			}}
		}
		host.Matcher = &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
			Input: &xdscorev3.TypedExtensionConfig{
				Name:        "path",
				TypedConfig: b.pack(&envoymatcherv3.HttpRequestHeaderMatchInput{HeaderName: ":path"}),
			},
			TreeType: &matcherv3.Matcher_MatcherTree_ExactMatchMap{ExactMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: paths}},
		}}}
	}
	return &routev3.RouteConfiguration{Name: routeConfigName, VirtualHosts: []*routev3.VirtualHost{host}}
}

// routes returns the routes of one server, in the order in which Envoy tries
// them: wrong methods, sessions pinned to a version, then a version by weight.
func (b *builder) routes(srv *registry.Server) []*routev3.Route {
	path := pathPrefix + srv.Name
	out := []*routev3.Route{wrongMethod(srv.Name, path)}
	if len(srv.Versions) == 1 { // a share of nothing is everything, whatever the weight
		v := &srv.Versions[0]
		return append(out, b.route(srv, v, &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}))
	}
	var total, sum uint64
	for i := range srv.Versions {
		v := &srv.Versions[i]
		total += uint64(v.Weight)
		out = append(out, b.route(srv, v, &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Path{Path: path},
			Headers:       []*routev3.HeaderMatcher{headerIs(versionHeader, v.Name)},
		}))
	}
	for i := range srv.Versions {
		v := &srv.Versions[i]
		if v.Weight == 0 {
			continue
		}
		// Envoy throws the dice once per request and compares the same number
		// with every fraction it meets, so fractions add up along the list.
		// Weighted clusters cannot do this: they have one path for all.
		sum += uint64(v.Weight)
		m := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}
		if sum < total {
			m.RuntimeFraction = &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
				Numerator:   uint32(sum * million / total),
				Denominator: typev3.FractionalPercent_MILLION,
			}}
		}
		out = append(out, b.route(srv, v, m))
	}
	if total == 0 {
		out = append(out, &routev3.Route{
			Name:  srv.Name + "/none",
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
				Status: 503, // the local reply configuration writes the body
			}},
		})
	}
	return out
}

const million = 1_000_000

// wrongMethod answers methods that MCP does not have.
func wrongMethod(server, path string) *routev3.Route {
	return &routev3.Route{
		Name: server + "/method",
		Match: &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Path{Path: path},
			Headers: []*routev3.HeaderMatcher{{
				Name:        ":method",
				InvertMatch: true,
				HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &envoymatcherv3.StringMatcher{
					MatchPattern: &envoymatcherv3.StringMatcher_SafeRegex{SafeRegex: &envoymatcherv3.RegexMatcher{Regex: "POST|GET|DELETE"}},
				}},
			}},
		},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 405}},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: "allow", Value: "POST, GET, DELETE"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}
}

func headerIs(name, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name: name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &envoymatcherv3.StringMatcher{
			MatchPattern: &envoymatcherv3.StringMatcher_Exact{Exact: value},
		}},
	}
}

// route sends what m matches to version v.
func (b *builder) route(srv *registry.Server, v *registry.Version, m *routev3.RouteMatch) *routev3.Route {
	name := clusterName(srv.Name, v.Name)
	b.uses[name] = true
	idle := v.IdleTimeout
	if idle <= 0 {
		idle = b.StreamIdle
	}
	a := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name},
		PrefixRewrite:    v.Path, // of an exact match: the whole path
		Timeout:          seconds(0),
		IdleTimeout:      seconds(idle),
		RetryPolicy:      b.neverSent(len(v.Endpoints)),
	}
	if host, ok := literalHost(v); ok {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
	} else {
		a.HostRewriteSpecifier = &routev3.RouteAction_AutoHostRewrite{AutoHostRewrite: yes()}
	}
	r := &routev3.Route{Name: srv.Name + "/" + v.Name, Match: m, Action: &routev3.Route_Route{Route: a}}
	if len(srv.Versions) > 1 {
		// For ext_proc, which marks new sessions with it and passes it no further.
		r.ResponseHeadersToAdd = []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: versionHeader, Value: v.Name},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}}
	}
	if sticky(v) {
		r.TypedPerFilterConfig = map[string]*anypb.Any{sessionsFilter: b.pack(b.stickySessions())}
	}
	return r
}

// neverSent retries only what certainly never reached a server: the connection
// was not made, or the server refused the stream unseen, or the connection broke
// before Envoy wrote a byte of the request. A tool call may have side effects,
// so anything else goes back to the client, who alone knows whether to repeat it.
func (b *builder) neverSent(endpoints int) *routev3.RetryPolicy {
	p := &routev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream,reset-before-request",
		NumRetries: number(2),
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: seconds(25 * time.Millisecond),
			MaxInterval:  seconds(250 * time.Millisecond),
		},
	}
	if endpoints > 1 {
		p.HostSelectionRetryMaxAttempts = 3
		p.RetryHostPredicate = []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: b.pack(&previoushostsv3.PreviousHostsPredicate{})},
		}}
	}
	return p
}

// literalHost returns the Host header for v when all its endpoints share one.
func literalHost(v *registry.Version) (string, bool) {
	first := v.Endpoints[0]
	for _, e := range v.Endpoints[1:] {
		if e != first {
			return "", false
		}
	}
	return authority(v.Scheme, first), true
}

// authority writes an endpoint as a Host header: no default port, brackets
// around IPv6.
func authority(scheme string, e registry.Endpoint) string {
	if (scheme == "http" && e.Port == 80) || (scheme == "https" && e.Port == 443) {
		if ip := net.ParseIP(e.Host); ip != nil && ip.To4() == nil {
			return "[" + e.Host + "]"
		}
		return e.Host
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}
