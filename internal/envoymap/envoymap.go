// Package envoymap maps Envoy's headers, attributes and metadata keys to our
// types. It is the one owner of those names.
package envoymap

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Names shared with Envoy's configuration.
const (
	// InternalPrefix begins every header that only the gateway may set.
	InternalPrefix = "x-sallyport-"
	// VersionHeader picks the version of a server that a session began on.
	VersionHeader = "x-sallyport-version"
	// ServerMetadata is the gRPC initial metadata key by which an operator's
	// own Envoy names the server of a route.
	ServerMetadata = "x-sallyport-server"
	// Namespace is the dynamic metadata namespace that the gateway writes.
	Namespace = "sallyport"

	attributes = "envoy.filters.http.ext_proc"
)

// Headers is a header block as Envoy sends it. It implements mcp.Headers.
type Headers struct{ list []*corev3.HeaderValue }

// NewHeaders wraps m, which may be nil.
func NewHeaders(m *corev3.HeaderMap) Headers { return Headers{m.GetHeaders()} }

// Get returns the value of the header name (lower case) and how many lines
// carry it. With several lines the value is the first.
func (h Headers) Get(name string) (string, int) {
	value, n := "", 0
	for _, f := range h.list {
		if f.Key == name {
			if n == 0 {
				value = text(f)
			}
			n++
		}
	}
	return value, n
}

// Value returns the first value of name, or "".
func (h Headers) Value(name string) string {
	v, _ := h.Get(name)
	return v
}

// text returns a header's value, which Envoy sends raw or as a string.
func text(f *corev3.HeaderValue) string {
	if len(f.RawValue) > 0 {
		return string(f.RawValue)
	}
	return f.Value
}

// Strip returns the names of the request headers that must not reach an
// upstream: credentials and claimed identities of the client, the gateway's
// own names, and Accept-Encoding, so that replies come uncompressed.
func (h Headers) Strip() []string {
	var out []string
	for _, f := range h.list {
		if stripped(f.Key) {
			out = append(out, f.Key)
		}
	}
	return out
}

func stripped(name string) bool {
	switch name {
	case "accept-encoding", "authorization", "cookie", "proxy-authorization", "forwarded",
		"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username",
		"x-forwarded-access-token", "x-forwarded-client-cert", "x-remote-user", "x-remote-group",
		"x-real-ip", "x-client-ip", "true-client-ip", "x-auth-request-user", "x-auth-request-email",
		"x-user", "x-user-id", "x-tenant-id", "dpop":
		return true
	}
	return strings.HasPrefix(name, InternalPrefix)
}

// Source returns the downstream peer from the request attributes, or the zero
// value when Envoy was not told to send it.
func Source(attrs map[string]*structpb.Struct) netip.AddrPort {
	v := attrs[attributes].GetFields()["source.address"].GetStringValue()
	a, err := netip.ParseAddrPort(v)
	if err != nil {
		return netip.AddrPort{}
	}
	return a
}

// Metadata returns the dynamic metadata with which Envoy can answer in the
// gateway's stead: local replies splice the id in as it is.
func Metadata(id []byte, method, server string) *structpb.Struct {
	fields := map[string]*structpb.Value{
		"method": structpb.NewStringValue(method),
		"server": structpb.NewStringValue(server),
	}
	if id != nil {
		fields["id"] = structpb.NewStringValue(string(id))
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		Namespace: structpb.NewStructValue(&structpb.Struct{Fields: fields}),
	}}
}
