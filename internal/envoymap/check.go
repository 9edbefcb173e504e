package envoymap

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
)

// PartialHeader is how ext_authz tells that it cut the body off.
const PartialHeader = "x-envoy-auth-partial-body"

// ServerOf is the server that an operator's own Envoy names for the route, or
// "" when it names none. One that is named twice is nobody.
func ServerOf(ctx context.Context) string {
	switch v := metadata.ValueFromIncomingContext(ctx, ServerMetadata); len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	}
	return nobody
}

// ServerOfCheck is ServerOf for ext_authz, where a route may also name the
// server among its context extensions. The route knows better than the filter.
func ServerOfCheck(ctx context.Context, a *authv3.AttributeContext) string {
	if name, ok := a.GetContextExtensions()[ServerExtension]; ok {
		if name == "" {
			return nobody // it was to name one, and must not fall back to the path
		}
		return name
	}
	return ServerOf(ctx)
}

const nobody = "/" // no server can be called this

// CheckSource returns the downstream peer of an ext_authz check.
func CheckSource(a *authv3.AttributeContext) netip.AddrPort {
	return socket(a.GetSource().GetAddress())
}

// CheckHeaders returns the header block of an ext_authz check. Envoy sends it
// line by line with encode_raw_headers, and otherwise as a map in which lines of
// one name are joined by commas. There a comma in the value of a header that has
// one value counts as a second line, because it may have been one.
func CheckHeaders(r *authv3.AttributeContext_HttpRequest) Headers {
	if m := r.GetHeaderMap(); len(m.GetHeaders()) > 0 {
		return NewHeaders(m)
	}
	h := Headers{list: make([]*corev3.HeaderValue, 0, len(r.GetHeaders())+1)}
	names := make([]string, 0, len(r.GetHeaders()))
	for name := range r.GetHeaders() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := &corev3.HeaderValue{Key: name, Value: r.GetHeaders()[name]}
		h.list = append(h.list, f)
		if strings.Contains(f.Value, ",") && !isList(name) {
			h.list = append(h.list, f)
		}
	}
	return h
}

// isList reports whether a header's value may hold commas of its own.
func isList(name string) bool {
	switch name {
	case "accept", "accept-encoding", "accept-language", "user-agent", "cache-control", "x-forwarded-for", "x-forwarded-proto",
		"tracestate", "baggage", "date", "if-modified-since", "te", "via", "forwarded", "sec-ch-ua":
		return true
	}
	return false
}

// Wishes are what an Envoy says of itself in [FactsMetadata].
type Wishes struct {
	Lean    bool // it wants [FactsInHeader], or
	Log     bool // [FactsForLog]
	Relayed bool // [TraceRelayed]
}

// WishesOf returns the wishes of the Envoy that calls.
func WishesOf(ctx context.Context) (w Wishes) {
	v := metadata.ValueFromIncomingContext(ctx, FactsMetadata)
	if len(v) != 1 {
		return Wishes{}
	}
	facts := v[0]
	facts, w.Relayed = strings.CutSuffix(facts, TraceRelayed)
	w.Log = facts == FactsForLog
	w.Lean = w.Log || facts == FactsInHeader
	return w
}
