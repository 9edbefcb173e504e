package envoymap

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/sallyport/sallyport/internal/gate"
)

// Ambient returns what Envoy says of traces: its own span, which the metadata of
// its calls names, and in h the client's place. relayed is what it says in
// [Wishes].
func Ambient(ctx context.Context, h Headers, relayed bool) gate.Ambient {
	a := gate.Ambient{Relayed: relayed}
	if v := metadata.ValueFromIncomingContext(ctx, "traceparent"); len(v) == 1 {
		a.Proxy = v[0]
	}
	name := "traceparent"
	if relayed {
		name = TraceHeader
	}
	if v, n := h.Get(name); n == 1 {
		a.Caller = v
	}
	return a
}
