// Package config is the one schema of sallyport.yaml: what may be written, what
// it means, and what this build can do about it.
//
// [Load] reads a configuration and the servers it registers, strictly: nothing
// is accepted and ignored, and every problem is told with its place. [Source]
// keeps what was loaded up to date. A loaded [Config] never changes.
package config

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/config/declare"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// Problem is one thing that is wrong in a configuration.
type Problem = strict.Problem

// Problems is all that is wrong in a configuration.
type Problems = strict.Problems

// Config is one valid configuration. The guide's blocks come first, under the
// names that the Enterprise MCP Servers Guide gives them.
type Config struct {
	Gateway      Gateway      `yaml:"gateway" doc:"Who may call, what they may call, how often, and where data may go"`
	Identity     Identity     `yaml:"identity_framework" doc:"How identities are proved and kept fresh"`
	Secrets      Secrets      `yaml:"secrets_management" doc:"Where the credentials of MCP servers come from"`
	Autonomy     Autonomy     `yaml:"autonomy_controls" doc:"How far agents may go on their own"`
	PolicyMeta   PolicyMeta   `yaml:"policy_framework" doc:"How policies are kept, checked and delivered"`
	Telemetry    Telemetry    `yaml:"telemetry_configuration" doc:"What traces, metrics and alerts show"`
	CostControls CostControls `yaml:"cost_controls" doc:"What calls may cost"`

	Listeners []Listener      `yaml:"listeners" min:"1" restart:"true" doc:"Addresses that MCP clients connect to; all serve /mcp/<server>. 127.0.0.1:8080 when absent"`
	Egress    Egress          `yaml:"egress" doc:"Forward proxy through which MCP servers and agents go out"`
	SPIFFE    SPIFFE          `yaml:"spiffe" restart:"true" doc:"Where the identities of workloads come from, and whose are believed"`
	Registry  Registry        `yaml:"registry" doc:"Where servers are declared beside servers"`
	ExtProc   Service         `yaml:"extproc" doc:"The ext_proc and ext_authz services, which judge for Envoy"`
	ExtAuthz  ExtAuthz        `yaml:"extauthz" doc:"The ext_authz service, at the address of extproc"`
	XDS       Service         `yaml:"xds" doc:"The xDS service, which gives Envoy its configuration"`
	Admin     Admin           `yaml:"admin" doc:"The HTTP interface with /healthz, /readyz, /metrics and /v1"`
	Envoy     Envoy           `yaml:"envoy" doc:"Envoy itself"`
	Limits    Limits          `yaml:"limits" doc:"Bounds of messages, connections and waiting"`
	Content   Content         `yaml:"content" doc:"How much work the guards that look into content may take"`
	MCP       MCP             `yaml:"mcp" doc:"What the decoder accepts"`
	Redis     Redis           `yaml:"redis" doc:"What replicas share, such as counters of quotas"`
	Revoked   Revoked         `yaml:"revocations" doc:"Those whose identity counts no longer, as the admin interface is told"`
	Receipts  Receipts        `yaml:"receipts" doc:"Where every decision is recorded"`
	Sinks     []Sink          `yaml:"sinks" doc:"Systems that receipts are delivered to from receipts.directory, at least once, each by itself"`
	Export    TelemetryExport `yaml:"telemetry" doc:"Where traces and metrics go; what they show is in telemetry_configuration"`
	Log       Log             `yaml:"log" doc:"The gateway's own log, on stderr"`

	// Guards has an entry for each guard of this build.
	Guards map[string]Guard `yaml:"-"`

	view     *registry.View
	revision string
}

// View returns the registered servers.
func (c *Config) View() *registry.View { return c.view }

// Revision names the settings: two configurations with one revision differ in
// their view at most.
func (c *Config) Revision() string { return c.revision }

// Registry says where servers are declared beside the configuration itself.
type Registry struct {
	Directory string `yaml:"directory" doc:"Watched directory of YAML files, each with one server or a list under servers; relative to this file"`
}

// Service is where one of the gateway's own services listens.
type Service struct {
	Address notation.ListenAddress `yaml:"address" restart:"true" doc:"Loopback address to listen on: the service asks nobody who they are"`
}

// ExtAuthz says whether requests may be judged without their responses.
type ExtAuthz struct {
	Role string `yaml:"role" oneof:"auto|required|off" doc:"auto serves as long as no guard needs responses, and refuses every request otherwise; required makes a configuration with such a guard an error; off refuses every request"`
}

// Admin is the gateway's HTTP interface for operators.
type Admin struct {
	Service `yaml:",inline"`
	Pprof   bool `yaml:"pprof" restart:"true" doc:"Serve Go's profiles under /debug/pprof/, which show what the process spends its time and memory on, and slow it down while they are taken"`
}

// Envoy is what Envoy is told beside the servers.
type Envoy struct {
	AdminAddress   notation.ListenAddress `yaml:"admin_address" restart:"true" doc:"Loopback address of Envoy's admin interface, which can stop Envoy"`
	Concurrency    int                    `yaml:"concurrency" min:"0" max:"1024" restart:"true" doc:"Worker threads; 0 for one per CPU"`
	MaxConnections int64                  `yaml:"max_connections" min:"1" max:"10000000" restart:"true" doc:"Client connections of all listeners together"`
	MaxHeap        notation.Size          `yaml:"max_heap" min:"64MiB" restart:"true" doc:"Memory that Envoy may allocate: it gives memory back from 92 % on and refuses requests from 97 % on"`
	AccessLog      string                 `yaml:"access_log" doc:"Where Envoy writes one JSON line per request: stdout or a file; nowhere when absent"`
	AccessLogOf    string                 `yaml:"access_log_of" oneof:"all|refusals" doc:"Which requests have a line in access_log: all, or those that were refused or ended with an error"`
	SystemCA       string                 `yaml:"system_ca" doc:"PEM file with the certificate authorities for servers that name none"`
}

// Limits bound what one client can make the gateway hold, and for how long.
type Limits struct {
	Body     notation.Size `yaml:"body" min:"1KiB" max:"64MiB" restart:"true" doc:"Largest request body; a larger one is answered with 413"`
	Response notation.Size `yaml:"response" min:"1KiB" max:"256MiB" doc:"Largest JSON reply of a server; a larger one is withheld"`
	Event    notation.Size `yaml:"event" min:"1KiB" max:"64MiB" doc:"Largest event of a stream; a larger one ends the stream"`

	Depth        int `yaml:"depth" min:"4" max:"1000" doc:"Objects and arrays that a message may nest"`
	Keys         int `yaml:"keys" min:"16" max:"1000000" doc:"Members that one object may have"`
	NumberLength int `yaml:"number_length" min:"8" max:"4096" doc:"Characters that one number may have"`
	IDLength     int `yaml:"id_length" min:"8" max:"4096" doc:"Bytes that a text id of a request may have"`

	Headers     notation.Size `yaml:"headers" min:"1KiB" max:"8MiB" doc:"Size of all request headers together, in whole KiB; more is answered with 431"`
	HeaderCount uint32        `yaml:"header_count" min:"16" max:"10000" doc:"Number of request headers; more is answered with 431"`
	Streams     uint32        `yaml:"streams" min:"1" max:"100000" doc:"Concurrent requests of one HTTP/2 connection"`

	JudgeTime      time.Duration `yaml:"judge_time" min:"10ms" max:"10m" doc:"How long Envoy waits for the gateway to judge a request"`
	ResponseTime   time.Duration `yaml:"response_time" min:"100ms" max:"1h" doc:"How long a JSON reply may take from its headers to its end"`
	HeadersTime    time.Duration `yaml:"headers_time" min:"100ms" max:"10m" doc:"How long a client may take to send the headers of a request"`
	RequestTime    time.Duration `yaml:"request_time" min:"100ms" max:"1h" doc:"How long a client may take to send a whole request"`
	StreamIdle     time.Duration `yaml:"stream_idle" min:"1s" max:"24h" doc:"Longest silence on a request whose server is not known yet"`
	ConnectionIdle time.Duration `yaml:"connection_idle" min:"1s" max:"7d" doc:"How long a client may keep a connection without a request"`
	UpstreamIdle   time.Duration `yaml:"upstream_idle" min:"100ms" max:"1h" doc:"How long an unused connection to a server is kept; shorter than the server's own keep-alive time"`
	Drain          time.Duration `yaml:"drain" min:"100ms" max:"1h" restart:"true" doc:"How long open requests may go on when the gateway stops"`
}

// Content bounds the guards that look into content: dlp, egress, injection,
// normalise, schema, catalog and segment.
type Content struct {
	Budget     time.Duration `yaml:"budget" min:"0s" max:"1m" doc:"How long they may look into one message, all together, without what they wait for; 0 for as long as they take"`
	OverBudget string        `yaml:"over_budget" oneof:"deny|allow" doc:"What happens to a message that would take longer: it is refused, or passes with the label uninspected and an event"`
	Remember   int           `yaml:"remember" min:"0" max:"1000000" doc:"Texts of which dlp and injection each keep what they found, per tenant, until a configuration takes effect; 0 for none"`
}

// MCP widens or narrows what the decoder accepts.
type MCP struct {
	ExtraMethods []Method           `yaml:"extra_methods" doc:"Methods outside the protocol that may pass"`
	AnyNames     bool               `yaml:"any_names" doc:"Let tool names pass that hold more than letters, digits, dot, hyphen and underscore; control characters never do"`
	Refusals     string             `yaml:"refusals" oneof:"http|results" doc:"How requests are refused that may be tried again later: http with status 429 or 5xx, of which some clients do not read the body; results with status 200, so that every client reads the error"`
	Revisions    []declare.Revision `yaml:"revisions" doc:"Protocol revisions that the gateway speaks; all when absent"`
}

// Receipts says where decisions are recorded, and what happens when they cannot
// be: as plain lines at Path, or in Directory, where nobody can change them
// unseen.
type Receipts struct {
	Path     string `yaml:"path" restart:"true" doc:"stdout, or a file to append plain lines to; relative to this file"`
	WhenFull string `yaml:"when_full" oneof:"block|drop_and_count" restart:"true" doc:"What happens when decisions are made faster than they can be written: block traffic, or drop receipts and count them"`
	Queue    int    `yaml:"queue" min:"1" max:"1000000" restart:"true" doc:"Receipts that may wait to be written; with directory, KiB of them, and at least 1024"`

	DigestUpTo notation.Size `yaml:"digest_up_to" max:"64MiB" doc:"Largest params or result whose SHA-256 the receipt holds; 0B for none"`

	Keep string `yaml:"keep" oneof:"nothing|arguments|params" doc:"Content of requests that receipts hold in clear, up to 64 KiB each, so that a policy that reads arguments can be replayed; nothing holds names, sizes and digests only"`

	Directory       string               `yaml:"directory" restart:"true" doc:"Folder for chained and signed receipts, of this gateway alone, instead of path; relative to this file"`
	SegmentSize     notation.Size        `yaml:"segment_size" min:"64KiB" max:"16GiB" restart:"true" doc:"With directory: a file ends when it is larger"`
	SegmentTime     time.Duration        `yaml:"segment_time" min:"1s" max:"30d" restart:"true" doc:"With directory: a file ends when it is older"`
	CheckpointEvery time.Duration        `yaml:"checkpoint_every" min:"10ms" max:"1h" restart:"true" doc:"With directory: how long receipts wait to be signed; what is younger, whoever can write the folder can cut off unseen"`
	SignWith        notation.SecretRef   `yaml:"sign_with" restart:"true" doc:"With directory: Ed25519 key in PKCS 8 PEM that signs checkpoints, as sallyport audit keygen makes it"`
	SignedBefore    []notation.SecretRef `yaml:"signed_before" restart:"true" doc:"With directory: public keys in PEM, of keys that were sign_with before. Without them what sinks remember from before a change of the key is not believed, and they begin anew with the oldest receipt"`
	Publish         string               `yaml:"publish" restart:"true" doc:"With directory: file outside of it that checkpoints are also appended to, so that a cut directory is noticed; relative to this file"`
	KeepFor         time.Duration        `yaml:"keep_for" min:"1s" max:"10000d" restart:"true" doc:"With directory: segments that are older are removed, which a signed line says; kept for good when absent"`
	KeepUndelivered time.Duration        `yaml:"keep_undelivered" min:"1s" max:"10000d" restart:"true" doc:"With keep_for: how much longer segments are kept that a sink has not had; then they are removed all the same, and counted. As long as it takes when absent"`

	URIs URIs `yaml:"uris" doc:"How much of the URIs of resources stands in clear, in receipts and in whatever else the gateway writes: logs, traces, the access log, decision logs"`

	Sealing Sealing `yaml:"sealing" doc:"What receipts hold encrypted, so that it can be made unreadable while they stay as they are"`
}

// URIs says how much of the URIs of resources stands in clear.
type URIs struct {
	InClear string             `yaml:"in_clear" oneof:"path|host|whole" doc:"path shows scheme, host and path; host no path; whole queries, fragments and URIs without an authority too. User information, and what cannot be read without doubt, is never shown"`
	Key     notation.SecretRef `yaml:"key" restart:"true" doc:"Key of name_hmac, the digest of a URI that is not shown as a whole: 16 bytes or more, the same for all replicas. When absent the process makes one, and digests of two processes cannot be compared"`
}

// Exposure is in_clear for the decoder.
func (u URIs) Exposure() mcp.Exposure {
	switch u.InClear {
	case "host":
		return mcp.ExposeHost
	case "whole":
		return mcp.ExposeWhole
	}
	return mcp.ExposePath
}

// Sealing says what receipts hold encrypted, under keys of tenants and subjects
// that can be destroyed one by one.
type Sealing struct {
	Keys     string               `yaml:"keys" restart:"true" doc:"Folder of the key ring, which several gateways may share; relative to this file"`
	WrapWith []notation.SecretRef `yaml:"wrap_with" restart:"true" doc:"Keys that wrap those of the ring, each 32 bytes in base64 or hex; the first wraps, the others still open what they wrapped before"`
	Rotate   time.Duration        `yaml:"rotate" min:"0s" max:"3650d" restart:"true" doc:"Age at which a tenant's key is followed by a new one; 0s for never"`
	Subjects string               `yaml:"subjects" oneof:"clear|sealed" doc:"sealed writes a pseudonym in place of a caller's subject, and seals subject, source address and the names of peers that are no SPIFFE ids"`
	Largest  notation.Size        `yaml:"largest" min:"1KiB" max:"256KiB" doc:"Largest payload that is kept; of a larger one the size"`
	Payloads []Payload            `yaml:"payloads" doc:"Content that is kept, sealed; the first entry that fits a message counts"`
}

// Payload says which content of which messages is kept.
type Payload struct {
	Tenants []string `yaml:"tenants" doc:"Tenants of the caller, * for any text; all when absent"`
	Servers []string `yaml:"servers" doc:"Registered servers, likewise"`
	Tools   []string `yaml:"tools" doc:"Tools, prompts or resources, likewise"`
	Keep    []string `yaml:"keep" min:"1" oneof:"arguments|params|results" required:"true" doc:"Arguments of requests, or all of their params, and results"`
	As      string   `yaml:"as" oneof:"forwarded|received" doc:"forwarded keeps what went on, after guards changed it, and nothing of what was refused; received keeps what came. forwarded when absent"`
}

// Log is the gateway's own log.
type Log struct {
	Level  string `yaml:"level" oneof:"debug|info|warn|error" restart:"true" doc:"Least severe entry that is written"`
	Format string `yaml:"format" oneof:"text|json" restart:"true" doc:"How an entry is written"`
}

// Default returns what holds where a file says nothing. It is not valid by
// itself: who may call, and what, must be said out loud.
func Default() Config {
	loopback := func(port uint16) notation.ListenAddress {
		return notation.ListenAddress{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}
	return Config{
		Listeners: []Listener{{Address: loopback(8080)}},
		ExtProc:   Service{loopback(9001)},
		ExtAuthz:  ExtAuthz{Role: "auto"},
		XDS:       Service{loopback(9002)},
		Admin:     Admin{Service: Service{loopback(9003)}},
		Envoy: Envoy{
			AdminAddress: loopback(9004), MaxConnections: 10_000, MaxHeap: notation.GiB,
			AccessLogOf: "all", SystemCA: "/etc/ssl/certs/ca-certificates.crt",
		},
		Limits: Limits{
			Body: 4 * notation.MiB, Response: 16 * notation.MiB, Event: notation.MiB,
			Depth: 64, Keys: 16384, NumberLength: 64, IDLength: 256,
			Headers: 32 * notation.KiB, HeaderCount: 100, Streams: 100,
			JudgeTime: 2 * time.Second, ResponseTime: 5 * time.Minute,
			HeadersTime: 10 * time.Second, RequestTime: time.Minute, StreamIdle: 5 * time.Minute,
			ConnectionIdle: time.Hour, UpstreamIdle: 4 * time.Second, Drain: 10 * time.Second,
		},
		Revoked: Revoked{Limit: 10_000},
		Content: Content{OverBudget: "deny", Remember: 10_000},
		MCP:     MCP{Refusals: "http"},
		Redis:   Redis{Timeout: 250 * time.Millisecond, Prefix: "sallyport"},
		Receipts: Receipts{
			Path: "stdout", WhenFull: "block", Queue: 8192, DigestUpTo: 64 * notation.KiB, Keep: "nothing",
			SegmentSize: 64 * notation.MiB, SegmentTime: 24 * time.Hour, CheckpointEvery: 10 * time.Second,
			URIs:    URIs{InClear: "path"},
			Sealing: Sealing{Rotate: 90 * 24 * time.Hour, Subjects: "clear", Largest: 64 * notation.KiB},
		},
		Export: TelemetryExport{
			ServiceName: "sallyport", OTLP: OTLP{Protocol: "grpc", Compression: "none", Timeout: 10 * time.Second},
			Traces:  TracesExport{Export: true, Sample: 0.1, SlowerThan: 2 * time.Second, PerSecond: 100, Queue: 2048, Envoy: "sampled"},
			Metrics: MetricsExport{Export: true, Interval: time.Minute, LabelSets: 1000},
		},
		Log: Log{Level: "info", Format: "text"},
	}
}
