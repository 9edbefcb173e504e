package config

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
)

// TelemetryExport says where traces and metrics go, and which. What they show is
// in the guide's block, [Telemetry].
type TelemetryExport struct {
	ServiceName string        `yaml:"service_name" restart:"true" doc:"Name of the gateway in traces and metrics (service.name)"`
	OTLP        OTLP          `yaml:"otlp" doc:"Where traces and metrics are sent to"`
	Traces      TracesExport  `yaml:"traces" doc:"Which exchanges are kept as traces"`
	Metrics     MetricsExport `yaml:"metrics" doc:"Metrics, which /metrics shows in any case"`
}

// OTLP is a receiver of the OpenTelemetry protocol. Paths are relative to the
// configuration.
type OTLP struct {
	Endpoint    string        `yaml:"endpoint" restart:"true" doc:"URL of the receiver, such as http://127.0.0.1:4317 for grpc or https://collector:4318 for http; nothing is sent when absent"`
	Protocol    string        `yaml:"protocol" oneof:"grpc|http" restart:"true" doc:"OTLP over gRPC, or over HTTP with protocol buffers, where paths are those of OTLP below the endpoint"`
	Headers     []OTLPHeader  `yaml:"headers" restart:"true" doc:"Headers that the receiver asks for, such as a token"`
	CA          string        `yaml:"ca" restart:"true" doc:"PEM file of the certificate authorities to trust; the system's when absent"`
	Certificate string        `yaml:"certificate" restart:"true" doc:"PEM file with the certificate that the gateway shows"`
	Key         string        `yaml:"key" restart:"true" doc:"PEM file with its key"`
	Compression string        `yaml:"compression" oneof:"none|gzip" restart:"true" doc:"How what is sent is compressed"`
	Timeout     time.Duration `yaml:"timeout" min:"10ms" max:"1m" restart:"true" doc:"How long one batch may take, with all attempts"`
}

// OTLPHeader is one header.
type OTLPHeader struct {
	Name  string             `yaml:"name" required:"true" restart:"true" doc:"Name of the header"`
	Value notation.SecretRef `yaml:"value" required:"true" restart:"true" doc:"Its value"`
}

// TracesExport says which exchanges are kept as traces.
type TracesExport struct {
	Export     bool               `yaml:"export" restart:"true" doc:"Send traces to otlp.endpoint, should there be one"`
	Sample     float64            `yaml:"sample" min:"0" max:"1" doc:"Share of exchanges that is kept by chance; refusals, errors and slow ones are kept besides"`
	SlowerThan time.Duration      `yaml:"slower_than" min:"0s" max:"1h" doc:"What takes longer is kept; 0s keeps nothing for that"`
	PerSecond  int                `yaml:"per_second" min:"1" max:"100000" restart:"true" doc:"Traces that are kept by chance in a second at most, and as many again for what happened in them"`
	Queue      int                `yaml:"queue" min:"1" max:"100000" restart:"true" doc:"Exchanges that may wait to be sent; those beyond are dropped and counted"`
	Envoy      string             `yaml:"envoy" oneof:"none|sampled|all" doc:"Spans that Envoy makes: of what is kept by chance; of all, so that what is kept for other reasons has them too, for more CPU; or none"`
	HashKey    notation.SecretRef `yaml:"hash_key" restart:"true" doc:"Key of the hashes in traces: of arguments, sessions and subjects. When absent the process makes one, and hashes of two processes cannot be compared"`
}

// MetricsExport says how metrics are counted and sent.
type MetricsExport struct {
	Export    bool          `yaml:"export" restart:"true" doc:"Send metrics to otlp.endpoint, should there be one"`
	Interval  time.Duration `yaml:"interval" min:"1s" max:"1h" restart:"true" doc:"How often they are sent"`
	LabelSets int           `yaml:"label_sets" min:"1" max:"100000" doc:"Distinct sets of values of telemetry_configuration.metrics.high_cardinality_labels that are counted since the start; those beyond are counted as other"`
}

// On reports whether there is a receiver.
func (o *OTLP) On() bool { return o.Endpoint != "" }

// checkTelemetry reports settings that do not go together.
func (c *Config) checkTelemetry(at strict.At) {
	o, otlp := &c.Export.OTLP, at.Field("telemetry").Field("otlp")
	if !o.On() {
		if otlp.Exists() && otlp.OK() {
			otlp.Report("needs endpoint: say where traces and metrics go, or remove the block")
		}
		if t := at.Field("telemetry_configuration").Field("traces").Field("ai_spans"); len(c.Telemetry.Traces.AISpans) > 0 && t.OK() {
			t.Report("needs telemetry.otlp.endpoint: traces would go nowhere")
		}
		return
	}
	u, err := url.Parse(o.Endpoint)
	if p := otlp.Field("endpoint"); p.OK() {
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
			p.Report("%q is no URL of a receiver; write one such as http://127.0.0.1:4317", o.Endpoint)
			return
		case o.Protocol == "grpc" && u.Path != "" && u.Path != "/":
			p.Report("has a path, which gRPC has no use for")
		}
	}
	if (o.Certificate == "") != (o.Key == "") {
		otlp.Report("needs certificate and key together")
	}
	if u.Scheme == "http" && (o.CA != "" || o.Certificate != "") {
		otlp.Report("has certificates for an endpoint without TLS; write https")
	}
	if h := otlp.Field("headers"); u.Scheme == "http" && len(o.Headers) > 0 && h.OK() && !loopback(u.Hostname()) {
		h.Report("would go over the network in clear; write https in endpoint")
	}
	for i := range o.Headers {
		if p := otlp.Field("headers").Item(i).Field("name"); p.OK() && !isToken(o.Headers[i].Name) {
			p.Report("%q is not the name of a header", o.Headers[i].Name)
		}
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// isToken reports whether s can be the name of a header (RFC 9110, 5.1).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}
