package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// logFields are the members of one access log line. They tell an operator what
// Envoy did, and what the gateway decided; more is in its receipts, under the same
// exchange. Header values of
// clients are left out but for the ones that name no secret. The path of a
// routed request is the one sent upstream; its route names the server.
var logFields = map[string]string{
	"time":             "%START_TIME%",
	"request_id":       "%REQ(X-REQUEST-ID)%",
	"method":           "%REQ(:METHOD)%",
	"path":             "%PATH(NQ)%",
	"protocol":         "%PROTOCOL%",
	"client":           "%DOWNSTREAM_REMOTE_ADDRESS%",
	"status":           "%RESPONSE_CODE%",
	"flags":            "%RESPONSE_FLAGS%",
	"details":          "%RESPONSE_CODE_DETAILS%",
	"upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
	"route":            "%ROUTE_NAME%",
	"cluster":          "%UPSTREAM_CLUSTER%",
	"upstream":         "%UPSTREAM_HOST%",
	"duration_ms":      "%DURATION%",
	"bytes_in":         "%BYTES_RECEIVED%",
	"bytes_out":        "%BYTES_SENT%",
}

// verdictFields say what the gateway decided: of what it let go upstream in headers,
// which cost Envoy little, and of what it refused, there or on the way back, in
// metadata. A line can have both. Neither holds anything of the parameters.
var verdictFields = map[string]map[string]string{
	"allowed": {
		"exchange": "%REQ(" + envoymap.ExchangeHeader + ")%",
		"method":   "%REQ(" + envoymap.MethodHeader + ")%",
		"name":     "%REQ(" + envoymap.NameHeader + ")%",
		"parent":   "%REQ(" + envoymap.ParentHeader + ")%", // what clients send as traceparent can be anything
	},
	"refused": {
		"exchange": "%DYNAMIC_METADATA(" + metadataNamespace + ":exchange)%",
		"decision": "%DYNAMIC_METADATA(" + metadataNamespace + ":decision)%",
		"reason":   "%DYNAMIC_METADATA(" + metadataNamespace + ":reason)%",
		"server":   "%DYNAMIC_METADATA(" + metadataNamespace + ":server)%",
		"method":   "%DYNAMIC_METADATA(" + metadataNamespace + ":method)%",
		"name":     "%DYNAMIC_METADATA(" + metadataNamespace + ":name)%",
		"trace_id": "%DYNAMIC_METADATA(" + metadataNamespace + ":trace_id)%",
	},
}

func structOf(fields map[string]string) *structpb.Struct {
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(fields))}
	for k, v := range fields {
		out.Fields[k] = structpb.NewStringValue(v)
	}
	return out
}

// logged says which requests have a line; nil for all. Those that were not served
// well have one always.
func (b *builder) logged() *accesslogv3.AccessLogFilter {
	if !b.AccessLogRefusals {
		return nil
	}
	refused := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslogv3.ExtensionFilter{
		Name: "envoy.access_loggers.extension_filters.cel",
		ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: b.pack(&celv3.ExpressionFilter{
			Expression: `response.code >= 400 || response.code_details.startsWith("` + refusalDetails + `")`,
		})},
	}}}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{
		OrFilter: &accesslogv3.OrFilter{Filters: []*accesslogv3.AccessLogFilter{refused, present("reason")}}, // the latter on the way back
	}}
}

func (b *builder) accessLog() []*accesslogv3.AccessLog {
	if b.AccessLog == "" {
		return nil
	}
	fields := structOf(logFields)
	if b.Tracing != nil { // what keeps Envoy from making spans is nobody's place
		fields.Fields["traceparent"] = structpb.NewStringValue("%CEL(request.headers['traceparent'] == '" + envoymap.NoPlace + "' ? '' : request.headers['traceparent'])%")
	}
	for k, v := range verdictFields {
		fields.Fields[k] = structpb.NewStructValue(structOf(v))
	}
	format := &corev3.SubstitutionFormatString{
		Format:          &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: fields},
		OmitEmptyValues: true,
	}
	if b.AccessLog == "stdout" {
		return []*accesslogv3.AccessLog{{
			Name:   "envoy.access_loggers.stdout",
			Filter: b.logged(),
			ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&streamlogv3.StdoutAccessLog{
				AccessLogFormat: &streamlogv3.StdoutAccessLog_LogFormat{LogFormat: format},
			})},
		}}
	}
	return []*accesslogv3.AccessLog{{
		Name:   "envoy.access_loggers.file",
		Filter: b.logged(),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&filelogv3.FileAccessLog{
			Path:            b.AccessLog,
			AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format},
		})},
	}}
}
