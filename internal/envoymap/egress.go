package envoymap

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/guard"
)

// ReasonHeader names the reason of a refusal on an egress listener.
const ReasonHeader = "x-sallyport-reason"

// EgressRefusal is the body of a refusal on an egress listener, which any HTTP
// client may get.
func EgressRefusal(reason guard.Reason, text string) []byte {
	b, err := json.Marshal(map[string]any{"error": map[string]string{"reason": string(reason), "message": text}})
	if err != nil { // of strings: cannot happen
		return nil
	}
	return b
}

// Keys beside [WorkloadKey] and [AddressKey], by which Envoy says at the end of a
// request or tunnel which one it was. Any gateway can then account for it, one that
// has started since included.
const (
	ExchangeKey = "exchange"
	peerKey     = "peer"
	schemeKey   = "scheme"
	hostKey     = "host"
	portKey     = "port"
	causeKey    = "cause"
)

// Wayout is what Envoy is told of a request that may go out.
func Wayout(exchange, peer string, o *guard.Outbound) *structpb.Struct {
	f := map[string]*structpb.Value{
		WorkloadKey: structpb.NewStringValue(o.Workload), AddressKey: structpb.NewStringValue(o.Address.String()),
		ExchangeKey: structpb.NewStringValue(exchange), schemeKey: structpb.NewStringValue(o.Scheme), hostKey: structpb.NewStringValue(o.Host),
		portKey: structpb.NewStringValue(strconv.Itoa(o.Port)),
	}
	if peer != "" {
		f[peerKey] = structpb.NewStringValue(peer)
	}
	if o.Cause != "" {
		f[causeKey] = structpb.NewStringValue(o.Cause)
	}
	return &structpb.Struct{Fields: f}
}

// EgressListener returns the egress listener that a check is about; false where it is
// about an MCP request. One that is named twice is none that exists.
func EgressListener(ctx context.Context) (name string, ok bool) {
	switch v := metadata.ValueFromIncomingContext(ctx, EgressMetadata); len(v) {
	case 0:
		return "", false
	case 1:
		return v[0], true
	}
	return nobody, true
}

// CheckPeer returns the SPIFFE id of the downstream peer's certificate. Envoy names a
// certificate by its first URI, or by something else where it has none, which is
// nobody here. Where no certificate is asked for there is none.
func CheckPeer(a *authv3.AttributeContext) string {
	if p := a.GetSource().GetPrincipal(); strings.HasPrefix(p, "spiffe://") {
		return p
	}
	return ""
}

// EgressLimits returns how many bytes a request or tunnel may send and receive. What
// is not named has no limit; what cannot be read is 0.
func EgressLimits(ctx context.Context) (sent, received uint64) {
	limit := func(key string) uint64 {
		v := metadata.ValueFromIncomingContext(ctx, key)
		if len(v) == 0 || len(v) == 1 && v[0] == "0" {
			return math.MaxUint64
		}
		n, err := strconv.ParseUint(v[0], 10, 63)
		if err != nil || len(v) > 1 {
			return 0
		}
		return n
	}
	return limit(MaxRequestMetadata), limit(MaxResponseMetadata)
}
