package envoymap

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/sallyport/sallyport/internal/gate"
)

// Ambient returns what Envoy says of traces: its own span, which the metadata of
// its calls names, and in h the client's place.
func Ambient(ctx context.Context, h Headers) gate.Ambient {
	var a gate.Ambient
	if v := metadata.ValueFromIncomingContext(ctx, "traceparent"); len(v) == 1 {
		a.Proxy = v[0]
	}
	v := metadata.ValueFromIncomingContext(ctx, TraceMetadata)
	name := "traceparent"
	if a.Relayed = len(v) == 1 && v[0] == TraceRelayed; a.Relayed {
		name = TraceHeader
	}
	if v, n := h.Get(name); n == 1 {
		a.Caller = v
	}
	return a
}
