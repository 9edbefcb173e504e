package xds

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// extProc is the filter that asks the ext_proc service. Its modes are fixed:
// an override that Envoy refuses, or that races with a body, passes things
// unjudged and silently.
func (b *builder) extProc(l Listener) *extprocv3.ExternalProcessor {
	mode := &extprocv3.ProcessingMode{
		RequestHeaderMode:   extprocv3.ProcessingMode_SEND,
		RequestBodyMode:     extprocv3.ProcessingMode_NONE,
		RequestTrailerMode:  extprocv3.ProcessingMode_SKIP,
		ResponseHeaderMode:  extprocv3.ProcessingMode_SKIP,
		ResponseBodyMode:    extprocv3.ProcessingMode_NONE,
		ResponseTrailerMode: extprocv3.ProcessingMode_SKIP,
	}
	if b.Phases.RequestBody {
		mode.RequestBodyMode = extprocv3.ProcessingMode_BUFFERED
		// A request of headers and trailers has no body that Envoy would send, and
		// went to the server unseen.
		mode.RequestTrailerMode = extprocv3.ProcessingMode_SEND
	}
	if b.Phases.Response {
		mode.ResponseHeaderMode = extprocv3.ProcessingMode_SEND
		mode.ResponseBodyMode = extprocv3.ProcessingMode_FULL_DUPLEX_STREAMED
		mode.ResponseTrailerMode = extprocv3.ProcessingMode_SEND // Envoy demands it with this body mode
	}
	attributes := []string{"source.address"}
	if l.TLS.asksClients() { // the client's certificate, as the listener verified it
		attributes = append(attributes, envoymap.PeerAttributes()...)
	}
	service := &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: extProcCluster},
	}}
	facts := envoymap.FactsInHeader
	if b.AccessLog != "" { // which alone needs more than the id
		facts = envoymap.FactsForLog
	}
	if b.Tracing != nil {
		facts += envoymap.TraceRelayed
	}
	service.InitialMetadata = []*corev3.HeaderValue{{Key: envoymap.FactsMetadata, Value: facts}}
	return &extprocv3.ExternalProcessor{
		StatPrefix:        l.Name,
		GrpcService:       service,
		FailureModeAllow:  false,
		StatusOnError:     &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ProcessingMode:    mode,
		MessageTimeout:    seconds(b.MessageTimeout),
		RequestAttributes: attributes,
		MetadataOptions: &extprocv3.MetadataOptions{
			ReceivingNamespaces: &extprocv3.MetadataOptions_MetadataNamespaces{Untyped: []string{metadataNamespace}},
		},
		// ext_proc removes headers for safety. A mutation that Envoy would
		// refuse silently must fail the request instead.
		MutationRules: &mutationv3.HeaderMutationRules{
			AllowAllRouting: no(), AllowEnvoy: no(), DisallowIsError: yes(),
		},
	}
}

func (b *builder) extProcCluster() *clusterv3.Cluster {
	t, err := parseTarget(b.ExtProc)
	if err != nil { // validate has seen it
		b.errs = append(b.errs, err)
		return &clusterv3.Cluster{}
	}
	return b.grpcCluster(extProcCluster, t)
}
