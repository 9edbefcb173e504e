package xds

import (
	"encoding/json"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/mcp"
)

// ownReply says how one kind of answer that Envoy makes by itself reads to an
// MCP client.
type ownReply struct {
	when   string // CEL, over Envoy's response code and its details
	status uint32 // HTTP status; 0 keeps Envoy's
	code   int    // JSON-RPC error code
	reason guard.Reason
	text   string // what happened and what to do
}

// ownReplies are tried in order. Envoy's details are listed at
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details
//
//nolint:lll // one line per reply reads best
var ownReplies = []ownReply{
	{`response.code_details.startsWith("ext_proc_error") && response.code_details.contains("timeout")`, 503, guard.CodeNotJudged, guard.DeadlineExceeded, "The gateway could not judge this message in time and therefore did not pass it on. Try again later."},
	{`response.code_details.startsWith("ext_proc") || response.code_details.startsWith("header_mutation") || response.code_details.contains("length_of_the_mutated_body")`, 503, guard.CodeNotJudged, guard.GuardError, "The gateway could not judge this message and therefore did not pass it on. Try again later."},
	{`response.code_details == "route_not_found"`, 404, guard.CodeUnknownServer, guard.UnknownServer, "No MCP server is registered under this path. Use exactly /mcp/{server}, without a trailing slash or query."},
	{`response.code_details == "direct_response" && response.code == 405`, 405, mcp.CodeInvalidRequest, guard.WrongTransport, "This HTTP method is not served here. MCP uses POST, GET and DELETE."},
	{`response.code_details == "direct_response" && response.code == 503`, 503, guard.CodeUpstream, guard.UpstreamUnavailable, "No version of this MCP server takes new sessions at the moment. Try again later."},
	{`response.code == 413`, 413, mcp.CodeInvalidRequest, guard.TooLarge, "The message is larger than this gateway accepts."},
	{`response.code == 431`, 431, mcp.CodeInvalidRequest, guard.TooLarge, "The HTTP headers are larger or more than this gateway accepts."},
	{`response.code == 408`, 408, mcp.CodeInvalidRequest, guard.InvalidMessage, "The request did not arrive in time."},
	{`response.code == 504`, 504, guard.CodeUpstreamTimeout, guard.UpstreamTimeout, "The MCP server did not answer in time."},
	{`response.code_details.startsWith("overload")`, 503, guard.CodeNotJudged, guard.GatewayStopping, "The gateway is overloaded. Try again later."},
	{`response.code_details.contains("overflow")`, 503, guard.CodeUpstream, guard.UpstreamUnavailable, "The MCP server is at the limit of its connections. Try again later."},
	{`response.code == 502 || response.code == 503`, 502, guard.CodeUpstream, guard.UpstreamUnavailable, "The MCP server failed or cannot be reached. Try again later."},
	{`response.code >= 400 && response.code < 500`, 0, mcp.CodeInvalidRequest, guard.InvalidMessage, "This is not an HTTP request that the gateway accepts."},
	{`response.code >= 500`, 0, mcp.CodeInternal, guard.GuardError, "The gateway failed. Try again later."},
}

// localReplies turns Envoy's plain text answers into JSON-RPC errors, because
// clients drop the connection over an error that is no JSON-RPC or does not
// carry their id. What ext_proc answers passes through here too and is left
// alone: it marks its replies by their details.
func (b *builder) localReplies() *hcmv3.LocalReplyConfig {
	c := &hcmv3.LocalReplyConfig{}
	for _, r := range ownReplies {
		for _, id := range []idSource{inHeader(), inMetadata(), {}} {
			c.Mappers = append(c.Mappers, b.mapper(r, id))
		}
	}
	return c
}

// idSource is where Envoy finds the request's id: what ext_proc, after decoding
// it strictly, put there. Most ids travel in a header, because metadata is dear.
type idSource struct {
	format string
	known  *accesslogv3.AccessLogFilter // true when it is there
}

func (b *builder) mapper(r ownReply, id idSource) *hcmv3.ResponseMapper {
	when := b.cel(r.when)
	if id.known != nil {
		when = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
			AndFilter: &accesslogv3.AndFilter{Filters: []*accesslogv3.AccessLogFilter{when, id.known}},
		}}
	}
	m := &hcmv3.ResponseMapper{
		Filter: when,
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			ContentType: "application/json",
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: r.body(id.format)},
			}},
		},
	}
	if r.status != 0 {
		m.StatusCode = wrapperspb.UInt32(r.status)
	}
	return m
}

// body writes the error. The id is spliced in as the client wrote it, which is
// always one JSON value.
func (r ownReply) body(id string) string {
	if id != "" {
		id = `"id":` + id + `,`
	}
	e, err := json.Marshal(struct {
		Code    int               `json:"code"`
		Message string            `json:"message"`
		Data    map[string]string `json:"data"`
	}{r.code, r.text, map[string]string{"reason": string(r.reason)}})
	if err != nil { // of strings and a number: cannot happen
		return ""
	}
	return `{"jsonrpc":"2.0",` + id + `"error":` + strings.ReplaceAll(string(e), "%", "%%") + `}`
}

func (b *builder) cel(when string) *accesslogv3.AccessLogFilter {
	expr := `response.code_details != "" && !response.code_details.startsWith("` + refusalDetails + `") && (` + when + `)`
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{
		ExtensionFilter: &accesslogv3.ExtensionFilter{
			Name:       "envoy.access_loggers.extension_filters.cel",
			ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: b.pack(&celv3.ExpressionFilter{Expression: expr})},
		},
	}}
}

func inHeader() idSource {
	return idSource{`%REQ(` + envoymap.IDHeader + `)%`, &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: &routev3.HeaderMatcher{
			Name: envoymap.IDHeader, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
		}},
	}}}
}

func inMetadata() idSource {
	return idSource{`%DYNAMIC_METADATA(` + metadataNamespace + `:` + metadataID + `)%`, present(metadataID)}
}

// present is true when the judge put something under key.
func present(key string) *accesslogv3.AccessLogFilter { return has(metadataNamespace, key) }

// has is true when there is something under key in a namespace.
func has(namespace, key string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{
		MetadataFilter: &accesslogv3.MetadataFilter{
			Matcher: &envoymatcherv3.MetadataMatcher{
				Filter: namespace,
				Path: []*envoymatcherv3.MetadataMatcher_PathSegment{{
					Segment: &envoymatcherv3.MetadataMatcher_PathSegment_Key{Key: key},
				}},
				Value: &envoymatcherv3.ValueMatcher{MatchPattern: &envoymatcherv3.ValueMatcher_StringMatch{
					StringMatch: &envoymatcherv3.StringMatcher{
						MatchPattern: &envoymatcherv3.StringMatcher_SafeRegex{SafeRegex: &envoymatcherv3.RegexMatcher{Regex: `(?s).+`}},
					},
				}},
			},
			MatchIfKeyNotFound: wrapperspb.Bool(false),
		},
	}}
}

// egressReplies make Envoy's own answers on an egress listener readable in the form
// of the service's refusals, which are left alone.
func (b *builder) egressReplies() *hcmv3.LocalReplyConfig {
	c := &hcmv3.LocalReplyConfig{}
	for _, r := range []ownReply{
		{when: `response.code_details.startsWith("ext_proc_error_gRPC_error_8")`, status: 413, reason: guard.TooLarge, text: "This is more than the workload may send or receive at a time."},
		{when: `response.code_details.startsWith("ext_proc") || response.code_details.startsWith("ext_authz_error") || response.code_details == "direct_response" || response.code_details == "route_not_found"`, status: 503, reason: guard.GuardError, text: "The gateway could not judge this destination and therefore does not lead there. Try again later."},
		{when: `response.code == 413 || response.code == 431`, reason: guard.TooLarge, text: "The HTTP headers are larger or more than this gateway accepts."},
		{when: `response.code_details.contains("overflow")`, status: 503, reason: guard.UpstreamUnavailable, text: "This workload has as many connections as it may have. Try again later."},
		{when: `response.code == 502 || response.code == 503`, status: 502, reason: guard.UpstreamUnavailable, text: "The destination cannot be reached. Try again later."},
		{when: `response.code == 504 || response.code == 408`, status: 504, reason: guard.UpstreamTimeout, text: "The destination did not answer in time."},
		{when: `response.code >= 400`, reason: guard.InvalidMessage, text: "This is not an HTTP request that the gateway accepts."},
	} {
		r.when = `!response.code_details.startsWith("ext_authz_denied") && (` + r.when + `)`
		m := b.mapper(r, idSource{})
		m.BodyFormatOverride.Format = &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: strings.ReplaceAll(string(envoymap.EgressRefusal(r.reason, r.text)), "%", "%%")},
		}}
		c.Mappers = append(c.Mappers, m)
	}
	return c
}
