package xds

import (
	"fmt"
	"math"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// Tracing has Envoy take part in traces. Its spans go to the judging service,
// which alone knows which traces are kept and where they go to, secrets included.
type Tracing struct {
	// Sample is the share of requests, above 0 and up to 1, of which Envoy makes spans.
	Sample float64
	// ServiceName is what Envoy is called in traces.
	ServiceName string
}

func (t *Tracing) validate() error {
	if t != nil && (t.Sample <= 0 || t.Sample > 1 || math.IsNaN(t.Sample) || t.ServiceName == "") {
		return fmt.Errorf("tracing: sample %v of %q: a share above 0 and up to 1, and a name", t.Sample, t.ServiceName)
	}
	return nil
}

// tracing is nil where Envoy takes no part.
func (b *builder) tracing() *hcmv3.HttpConnectionManager_Tracing {
	if b.Tracing == nil || b.NoExtProc {
		return nil
	}
	return &hcmv3.HttpConnectionManager_Tracing{
		ClientSampling:    &typev3.Percent{},           // a client asks for nothing
		RandomSampling:    &typev3.Percent{Value: 100}, // of what draw leaves
		OverallSampling:   &typev3.Percent{Value: 100},
		SpawnUpstreamSpan: yes(),
		// The judge tells the server its place: it may have to in the body as
		// well, and the two must agree.
		NoContextPropagation: true,
		Provider: &tracev3.Tracing_Http{Name: "envoy.tracers.opentelemetry", ConfigType: &tracev3.Tracing_Http_TypedConfig{
			TypedConfig: b.pack(&tracev3.OpenTelemetryConfig{
				ServiceName: b.Tracing.ServiceName,
				GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: extProcCluster},
				}},
			}),
		}},
	}
}

// hideTrace takes the caller's place in a trace out of Envoy's sight, before Envoy
// makes its own spans. Envoy would believe it, flags included: who chooses those
// could have all of its requests recorded. So Envoy begins a trace of its own, for
// a share of requests at random, and the judge, who checks what the caller says,
// moves Envoy's spans to where they belong.
func (b *builder) hideTrace() []*mutationv3.HeaderMutation {
	if b.Tracing == nil || b.NoExtProc {
		return nil
	}
	return append([]*mutationv3.HeaderMutation{
		putHeader(envoymap.TraceHeader, "%REQ(traceparent)%"),
		dropHeader("traceparent"),
	}, b.Tracing.draw()...)
}

// draw leaves the share of requests that Envoy makes spans of without a place in a
// trace, and gives the others one that does not parse: Envoy then makes no span,
// nor any for its own calls. By its own sampling it would make them of all requests,
// attributes included, and throw most away, which is a sixth of its work. The lot
// is a UUID of Envoy's, so that no client can foretell or choose it.
func (t *Tracing) draw() []*mutationv3.HeaderMutation {
	if t.Sample == 1 {
		return nil
	}
	below := min(uint64(math.Ceil(t.Sample*(1<<32))), 1<<32-1)
	return []*mutationv3.HeaderMutation{
		putHeader(lotHeader, "%UNIQUE_ID%"),
		putHeader("traceparent", fmt.Sprintf("%%CEL(request.headers['%s'] < '%08x' ? '' : '%s')%%", lotHeader, below, envoymap.NoPlace)),
		dropHeader(lotHeader),
	}
}

const lotHeader = envoymap.InternalPrefix + "lot"

// putHeader sets a header, unless the value comes out empty.
func putHeader(name, value string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}}
}

func dropHeader(name string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}}
}
