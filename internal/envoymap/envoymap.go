// Package envoymap maps Envoy's headers, attributes and metadata keys to our
// types. It is the one owner of those names.
package envoymap

import (
	"net/netip"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/guard"
)

// Names shared with Envoy's configuration.
const (
	// InternalPrefix begins every header that only the gateway may set.
	InternalPrefix = "x-sallyport-"
	// VersionHeader names the version of a server: on a request the one that
	// its session began on, on a reply the one that its route led to.
	VersionHeader = "x-sallyport-version"
	// ServerMetadata is the gRPC initial metadata key by which an operator's
	// own Envoy names the server of a route.
	ServerMetadata = "x-sallyport-server"
	// TraceHeader carries the traceparent that the client sent, where Envoy makes
	// spans itself.
	TraceHeader = "x-sallyport-traceparent"
	// NoPlace is the traceparent of requests that Envoy is to make no spans of. It
	// goes nowhere else.
	NoPlace = "none"
	// IDHeader carries the lexeme of a request's JSON-RPC id, which the body
	// says too, to Envoy's local replies.
	IDHeader = "x-sallyport-id"
	// FactsMetadata is the gRPC initial metadata key by which an Envoy says how
	// it wants to hear of each exchange: [FactsInHeader], or as dynamic metadata
	// where it says nothing.
	FactsMetadata = "x-sallyport-facts"
	// FactsInHeader has ext_proc set [IDHeader] and send no dynamic metadata, as
	// far as the id can be a header. Metadata costs Envoy much more than a header.
	FactsInHeader = "header"
	// FactsForLog is the same, and has ext_proc set [ExchangeHeader] and the like on
	// what it lets go upstream, and send metadata about what it refuses.
	FactsForLog = "log"
	// TraceRelayed stands behind either where Envoy sends its spans to the gateway and
	// keeps the client's place in a trace from itself, in [TraceHeader]. A key of its
	// own would cost Envoy as much as all that decides which requests are traced.
	TraceRelayed = "+relayed"
	// ExchangeHeader, MethodHeader and NameHeader tell the access log which exchange
	// went upstream, and what it asked for.
	ExchangeHeader = "x-sallyport-exchange"
	MethodHeader   = "x-sallyport-method"
	NameHeader     = "x-sallyport-name"
	// ParentHeader tells it the place in a trace that the server is told, or that the
	// client says it has, where that is well-formed.
	ParentHeader = "x-sallyport-parent"
	// ServerExtension is the same among ext_authz's context extensions.
	ServerExtension = "server"
	// EgressMetadata is the gRPC initial metadata key by which Envoy names the
	// egress listener that a check is about. Other checks are of MCP requests.
	EgressMetadata = "x-sallyport-egress"
	// MaxRequestMetadata and MaxResponseMetadata are likewise how many bytes a
	// request or tunnel may send and receive; 0 for any number.
	MaxRequestMetadata  = "x-sallyport-max-request"
	MaxResponseMetadata = "x-sallyport-max-response"
	// AuthzNamespace is the dynamic metadata namespace of what ext_authz answers.
	AuthzNamespace = "envoy.filters.http.ext_authz"
	// WorkloadKey and AddressKey name, in AuthzNamespace, the workload that goes
	// out, which its route depends on, and the IP address and port that were judged,
	// which Envoy connects to.
	WorkloadKey = "workload"
	AddressKey  = "address"
	// Namespace is the dynamic metadata namespace that the gateway writes.
	Namespace = "sallyport"
	// DetailsPrefix begins the response code details of the gateway's own
	// replies, so that access log and local replies tell them from Envoy's.
	DetailsPrefix = "sallyport_"

	attributes = "envoy.filters.http.ext_proc"
)

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

// Peer returns the client's end of the connection from the request attributes,
// or the zero value when Envoy was not told to send it, or nothing was verified.
func Peer(attrs map[string]*structpb.Struct) guard.Peer {
	f := attrs[attributes].GetFields()
	if !f["connection.mtls"].GetBoolValue() {
		return guard.Peer{}
	}
	p := guard.Peer{Verified: true, Name: f["connection.uri_san_peer_certificate"].GetStringValue(),
		Digest: f["connection.sha256_peer_certificate_digest"].GetStringValue()}
	if p.Name == "" {
		p.Name = f["connection.subject_peer_certificate"].GetStringValue()
	}
	return p
}

// PeerAttributes are the request attributes that [Peer] reads.
func PeerAttributes() []string {
	return []string{"connection.mtls", "connection.uri_san_peer_certificate", "connection.sha256_peer_certificate_digest", "connection.subject_peer_certificate"}
}

// Facts are what Envoy's access log and local replies may say of an exchange.
type Facts struct {
	ID     []byte // lexeme of the request's JSON-RPC id, which local replies splice in as it is; nil for none
	Method string
	Server string
	Reason string // of a refusal

	// Of a refusal only:
	Exchange string
	Decision string
	Name     string // of the tool, or whatever was asked for
	Trace    string // id of the trace, in hex
}

// Metadata returns f as the content of [Namespace], and what is empty left out.
func (f *Facts) Metadata() *structpb.Struct {
	own := struct { // one allocation for what Envoy gets with every request
		fields  structpb.Struct
		strings [8]structpb.Value_StringValue
		values  [8]structpb.Value
	}{}
	fields := make(map[string]*structpb.Value, 4)
	for i, v := range [...]struct{ key, value string }{
		{"id", string(f.ID)}, {"method", f.Method}, {"server", f.Server}, {"reason", f.Reason},
		{"exchange", f.Exchange}, {"decision", f.Decision}, {"name", f.Name}, {"trace_id", f.Trace},
	} {
		if v.value != "" {
			own.strings[i].StringValue = v.value
			own.values[i].Kind = &own.strings[i]
			fields[v.key] = &own.values[i]
		}
	}
	own.fields.Fields = fields
	return &own.fields
}

// HeaderID reports whether an id's lexeme can travel as a header: visible ASCII
// with spaces inside, which nothing on the way changes.
func HeaderID(id []byte) bool {
	for _, c := range id {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(id) > 0
}

// InNamespace returns the dynamic metadata that holds m under [Namespace].
func InNamespace(m *structpb.Struct) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{Namespace: structpb.NewStructValue(m)}}
}
