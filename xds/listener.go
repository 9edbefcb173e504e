package xds

import (
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	sessionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
)

// listener returns one hardened entry for MCP clients.
func (b *builder) listener(l Listener) *listenerv3.Listener { return b.entry(l, b.manager(l)) }

// entry puts a connection manager behind a listener's address and TLS.
func (b *builder) entry(l Listener, m *hcmv3.HttpConnectionManager) *listenerv3.Listener {
	chain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(m)},
	}}}
	if l.TLS != nil {
		chain.TransportSocket = b.downstreamTLS(l.TLS)
		chain.TransportSocketConnectTimeout = seconds(handshakeTimeout)
	}
	return &listenerv3.Listener{
		Name:                          l.Name,
		StatPrefix:                    l.Name,
		Address:                       socketAddress(l.Address, l.Port),
		PerConnectionBufferLimitBytes: number(bufferLimit),
		ListenerFiltersTimeout:        seconds(5 * time.Second),
		FilterChains:                  []*listenerv3.FilterChain{chain},
	}
}

func (b *builder) manager(l Listener) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: l.Name,
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: fromADS(), RouteConfigName: routeConfigName,
		}},
		HttpFilters:      b.filters(l),
		LocalReplyConfig: b.localReplies(),
		AccessLog:        b.accessLog(),
		Tracing:          b.tracing(),

		// The peer's address is what the socket says; forwarding headers and
		// certificates that a client claims are replaced.
		UseRemoteAddress:         yes(),
		ForwardClientCertDetails: hcmv3.HttpConnectionManager_SANITIZE_SET,
		SetCurrentClientCertDetails: &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
			Uri: true, Dns: true,
		},
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{b.stripInternal(b.hideTrace()...)},

		// One spelling per path, before anything looks at it.
		NormalizePath:                yes(),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,

		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH, // the route drops the upstream's

		MaxRequestHeadersKb: number(b.MaxHeadersKiB),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  seconds(b.ConnectionIdle),
			MaxHeadersCount:              number(b.MaxHeaders),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        number(b.MaxStreams),
			InitialStreamWindowSize:     number(64 << 10),
			InitialConnectionWindowSize: number(1 << 20),
		},
		RequestHeadersTimeout: seconds(b.HeadersTimeout),
		RequestTimeout:        seconds(b.RequestTimeout),
		StreamIdleTimeout:     seconds(b.StreamIdle),
		DelayedCloseTimeout:   seconds(time.Second),
		DrainTimeout:          seconds(b.Drain),
	}
}

// stripInternal removes what only the gateway may say. It must happen before
// the first look at the routes, because a client's version header would pick
// one, and x-envoy headers change timeouts and retries.
func (b *builder) stripInternal(more ...*mutationv3.HeaderMutation) *corev3.TypedExtensionConfig {
	var m []*mutationv3.HeaderMutation
	for _, prefix := range []string{internalPrefix, envoyPrefix} {
		m = append(m, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
			RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &envoymatcherv3.StringMatcher{
				MatchPattern: &envoymatcherv3.StringMatcher_Prefix{Prefix: prefix},
			}},
		}})
	}
	return b.extension("envoy.http.early_header_mutation.header_mutation", &earlyv3.HeaderMutation{Mutations: append(m, more...)})
}

// filters are ext_proc, which decides, then the session envelope, which must
// see requests after ext_proc cleaned them and replies before it, then the
// router.
func (b *builder) filters(l Listener) []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	add := func(name string, m proto.Message) {
		out = append(out, &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.pack(m)}})
	}
	if !b.NoExtProc {
		add(extProcFilter, b.extProc(l))
	}
	add(sessionsFilter, &sessionsv3.StatefulSession{}) // does nothing until a route gives it a state
	add(routerFilter, &routerv3.Router{SuppressEnvoyHeaders: true})
	return out
}
