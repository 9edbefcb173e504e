package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// logFields are the members of one access log line. They tell an operator what
// Envoy did; what the gateway decided is in its receipts. Header values of
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
	"mcp_server":       "%DYNAMIC_METADATA(" + metadataNamespace + ":server)%",
	"mcp_method":       "%DYNAMIC_METADATA(" + metadataNamespace + ":method)%",
	"mcp_reason":       "%DYNAMIC_METADATA(" + metadataNamespace + ":reason)%",
}

func (b *builder) accessLog() []*accesslogv3.AccessLog {
	if b.AccessLog == "" {
		return nil
	}
	fields := make(map[string]*structpb.Value, len(logFields))
	for k, v := range logFields {
		fields[k] = structpb.NewStringValue(v)
	}
	format := &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}},
	}
	if b.AccessLog == "stdout" {
		return []*accesslogv3.AccessLog{{
			Name: "envoy.access_loggers.stdout",
			ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&streamlogv3.StdoutAccessLog{
				AccessLogFormat: &streamlogv3.StdoutAccessLog_LogFormat{LogFormat: format},
			})},
		}}
	}
	return []*accesslogv3.AccessLog{{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&filelogv3.FileAccessLog{
			Path:            b.AccessLog,
			AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format},
		})},
	}}
}
