package envoymap

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/sallyport/sallyport/guard"
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

// Each implements guard.Headers. What Envoy writes itself is left out, and so is what
// [Headers.Strip] names.
func (h Headers) Each(visit func(name string, value []byte)) {
	for _, f := range h.list {
		switch name := f.Key; {
		case name == ":path", forwarded(name) && !isWritten(name):
			if len(f.RawValue) > 0 {
				visit(name, f.RawValue) // as text, with no copy
			} else {
				visit(name, []byte(f.Value))
			}
		}
	}
}

// isWritten reports whether Envoy or the gateway writes a header anew, or has
// compared it with the few values that it may have.
func isWritten(name string) bool {
	switch name {
	case "content-type", "content-length", "host", "x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal",
		"x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms", "x-envoy-original-path", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id",
		"x-envoy-auth-partial-body", "transfer-encoding", "connection", "upgrade", "mcp-protocol-version":
		return true
	}
	return name[0] == ':'
}

// Value returns the first value of name, or "".
func (h Headers) Value(name string) string {
	v, _ := h.Get(name)
	return v
}

// Names returns the names of all headers, each once.
func (h Headers) Names() []string {
	var out []string
	for _, f := range h.list {
		if !slices.Contains(out, f.Key) {
			out = append(out, f.Key)
		}
	}
	return out
}

// text returns a header's value, which Envoy sends raw or as a string.
func text(f *corev3.HeaderValue) string {
	if len(f.RawValue) > 0 {
		return string(f.RawValue)
	}
	return f.Value
}

// Strip returns the names of the client's headers that must not reach an
// upstream. Only headers that are known to be needed pass. No list of the bad
// ones could be complete, as every proxy and cloud has its own header for who
// is calling; and Accept-Encoding must go for replies to come readable.
func (h Headers) Strip() []string {
	var out []string
	for _, f := range h.list {
		if !forwarded(f.Key) && !slices.Contains(out, f.Key) {
			out = append(out, f.Key)
			continue
		}
		if f.Key == "traceparent" {
			if _, _, _, ok := guard.Traceparent(text(f)); !ok {
				out = append(out, f.Key) // which nobody may heed, and could hold anything
			}
		}
		if f.Key == "x-forwarded-for" && strings.Contains(text(f), ",") {
			out = append(out, f.Key) // Envoy's entry stands behind whatever the client wrote
		}
	}
	return out
}

// forwarded reports whether a request header goes upstream: what MCP, HTTP and
// tracing need, and what Envoy itself says.
func forwarded(name string) bool {
	switch name {
	case "content-type", "content-length", "accept", "accept-language", "user-agent", "last-event-id", "cache-control",
		"host", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "traceparent", "tracestate", "baggage":
		return true
	}
	return isEnvoys(name) || strings.HasPrefix(name, "mcp-")
}

// Withhold returns the names of an upstream's headers that must not reach the
// client. Bodies are judged and headers are not, so only those pass that mean
// something to an MCP client. Cookies, redirects, challenges, alternative
// services and CORS are the gateway's business.
func (h Headers) Withhold() []string {
	var out []string
	for _, f := range h.list {
		if !returned(f.Key) && !slices.Contains(out, f.Key) {
			out = append(out, f.Key)
		}
	}
	return out
}

func returned(name string) bool {
	switch name {
	case "content-type", "content-length", "date", "cache-control", "retry-after", "allow", "x-request-id", "traceparent", "tracestate",
		"mcp-session-id", "mcp-protocol-version":
		return true
	}
	return isEnvoys(name)
}

// isEnvoys reports whether a header is for Envoy alone to add and to remove: it
// refuses to have them changed.
func isEnvoys(name string) bool {
	return strings.HasPrefix(name, ":") || strings.HasPrefix(name, "x-envoy-") ||
		name == "transfer-encoding" || name == "connection" || name == "upgrade"
}
