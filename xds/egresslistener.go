package xds

import (
	"slices"
	"strconv"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sallyport/sallyport/internal/envoymap"
)

const authzFilter = "envoy.filters.http.ext_authz"

// egressListener is a forward proxy for plain HTTP and CONNECT.
func (b *builder) egressListener(e *Egress) *listenerv3.Listener {
	return b.entry(Listener{Name: e.Name, Address: e.Address, Port: e.Port, TLS: e.TLS}, b.egressManager(e))
}

// egressManager passes requests on as they are, but for what only proxies read:
// whoever they are for knows better than we what a path may look like.
func (b *builder) egressManager(e *Egress) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: e.Name,
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: fromADS(), RouteConfigName: egressRoutes(e.Name),
		}},
		HttpFilters:                   b.egressFilters(e),
		LocalReplyConfig:              b.egressReplies(),
		AccessLog:                     append(b.accessLog(), b.farewells(e)),
		UpgradeConfigs:                []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "CONNECT"}},
		UseRemoteAddress:              yes(),
		SkipXffAppend:                 true,
		ForwardClientCertDetails:      hcmv3.HttpConnectionManager_SANITIZE,
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{b.stripInternal()},
		GenerateRequestId:             no(),
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		MaxRequestHeadersKb:           number(b.MaxHeadersKiB),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:     seconds(b.ConnectionIdle),
			MaxHeadersCount: number(b.MaxHeaders),
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			AllowConnect:                true,
			MaxConcurrentStreams:        number(b.MaxStreams),
			InitialStreamWindowSize:     number(64 << 10),
			InitialConnectionWindowSize: number(1 << 20),
		},
		RequestHeadersTimeout: seconds(b.HeadersTimeout),
		StreamIdleTimeout:     seconds(b.StreamIdle),
		DelayedCloseTimeout:   seconds(time.Second),
		DrainTimeout:          seconds(b.Drain),
	}
}

// egressFilters are ext_authz, which says where a request may go, ext_proc, which
// counts the bytes of workloads that have a limit, and the router.
func (b *builder) egressFilters(e *Egress) []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	add := func(name string, m proto.Message) {
		out = append(out, &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.pack(m)}})
	}
	add(authzFilter, b.egressAuthz(e))
	if slices.ContainsFunc(e.Workloads, Workway.counted) {
		add(extProcFilter, b.egressCount(e))
	}
	add(routerFilter, &routerv3.Router{SuppressEnvoyHeaders: true})
	return out
}

func (w Workway) counted() bool { return w.MaxRequest > 0 || w.MaxResponse > 0 }

// egressCount shows the service every chunk of a body or tunnel before it goes on,
// which is the only way to end one by its size in both directions. It sends the
// chunk and gets a few bytes back.
func (b *builder) egressCount(e *Egress) *extprocv3.ExternalProcessor {
	return &extprocv3.ExternalProcessor{
		StatPrefix:       e.Name,
		GrpcService:      b.egressService(e),
		FailureModeAllow: false,
		StatusOnError:    &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ProcessingMode:   counting(&Workway{}),
		MessageTimeout:   seconds(b.MessageTimeout),
		MutationRules:    &mutationv3.HeaderMutationRules{DisallowAll: yes(), DisallowIsError: yes()},
	}
}

func counting(w *Workway) *extprocv3.ProcessingMode {
	m := &extprocv3.ProcessingMode{
		RequestHeaderMode: extprocv3.ProcessingMode_SKIP, RequestBodyMode: extprocv3.ProcessingMode_NONE, RequestTrailerMode: extprocv3.ProcessingMode_SKIP,
		ResponseHeaderMode: extprocv3.ProcessingMode_SKIP, ResponseBodyMode: extprocv3.ProcessingMode_NONE, ResponseTrailerMode: extprocv3.ProcessingMode_SKIP,
	}
	if w.MaxRequest > 0 {
		m.RequestBodyMode = extprocv3.ProcessingMode_STREAMED
	}
	if w.MaxResponse > 0 {
		m.ResponseBodyMode = extprocv3.ProcessingMode_STREAMED
	}
	return m
}

// byteLimits tell ext_proc what to count for a workload. A listener that counts for
// nobody has no such filter.
func (b *builder) byteLimits(e *Egress, w *Workway) map[string]*anypb.Any {
	if !slices.ContainsFunc(e.Workloads, Workway.counted) {
		return nil
	}
	per := &extprocv3.ExtProcPerRoute{Override: &extprocv3.ExtProcPerRoute_Disabled{Disabled: true}}
	if w.counted() {
		limit := func(key string, n uint64) *corev3.HeaderValue {
			return &corev3.HeaderValue{Key: key, Value: strconv.FormatUint(n, 10)}
		}
		per.Override = &extprocv3.ExtProcPerRoute_Overrides{Overrides: &extprocv3.ExtProcOverrides{
			ProcessingMode:      counting(w),
			GrpcInitialMetadata: []*corev3.HeaderValue{limit(envoymap.MaxRequestMetadata, w.MaxRequest), limit(envoymap.MaxResponseMetadata, w.MaxResponse)},
		}}
	}
	return map[string]*anypb.Any{extProcFilter: b.pack(per)}
}

func (b *builder) egressService(e *Egress) *corev3.GrpcService {
	return &corev3.GrpcService{
		TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: extProcCluster}},
		InitialMetadata: []*corev3.HeaderValue{{Key: envoymap.EgressMetadata, Value: e.Name}},
	}
}

// egressAuthz asks the service about every request and tunnel. Its answer carries
// the workload and the address in metadata, and has the route chosen anew.
func (b *builder) egressAuthz(e *Egress) *authzv3.ExtAuthz {
	service := b.egressService(e)
	service.Timeout = seconds(b.MessageTimeout)
	return &authzv3.ExtAuthz{
		StatPrefix:          e.Name,
		TransportApiVersion: corev3.ApiVersion_V3,
		Services:            &authzv3.ExtAuthz_GrpcService{GrpcService: service},
		FailureModeAllow:    false,
		StatusOnError:       &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ClearRouteCache:     true,
		ValidateMutations:   true,
		EncodeRawHeaders:    true,
	}
}

// farewells tell the service how what it let out ended, and how many bytes went
// which way. What it refused has no exchange in its metadata.
func (b *builder) farewells(e *Egress) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{
		Name:   "envoy.access_loggers.http_grpc",
		Filter: has(envoymap.AuthzNamespace, envoymap.ExchangeKey),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&grpclogv3.HttpGrpcAccessLogConfig{
			CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
				LogName: e.Name, GrpcService: b.egressService(e), TransportApiVersion: corev3.ApiVersion_V3,
				BufferFlushInterval: seconds(100 * time.Millisecond),
			},
		})},
	}
}
