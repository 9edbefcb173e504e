package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Sink is one system that receipts are delivered to from receipts.directory.
type Sink struct {
	Name   string     `yaml:"name" required:"true" doc:"Name of the sink, under which its place in the log is kept: lower-case letters, digits, hyphens and underscores"`
	Send   []string   `yaml:"send" oneof:"receipts|records|checkpoints" min:"1" doc:"What it gets: receipts; records of the log itself, such as that receipts are lost; signed checkpoints. receipts and records when absent"`
	Only   SinkFilter `yaml:"only" doc:"Which of those"`
	Mask   SinkMask   `yaml:"mask" doc:"What it does not get to see"`
	Format string     `yaml:"format" oneof:"receipt|ocsf|cef" doc:"receipt, as the log has it; ocsf, JSON of the Open Cybersecurity Schema Framework; cef, a line of the Common Event Format. cef for syslog and receipt for others when absent"`
	Begin  string     `yaml:"begin" oneof:"oldest|newest" doc:"Where a sink that is new begins: with the oldest receipt there is, or with those to come"`
	Batch  SinkBatch  `yaml:"batch" doc:"How much goes out at once"`

	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"10m" doc:"How long one delivery may take"`
	Retry   time.Duration `yaml:"retry_at_most" min:"100ms" max:"1h" doc:"Longest pause between two tries; the first is 0.2 s, and each is about twice the one before"`

	File    *FileSink    `yaml:"file" doc:"Lines in a file, or on stdout"`
	Webhook *WebhookSink `yaml:"webhook" doc:"JSON lines by HTTP POST, signed"`
	Kafka   *KafkaSink   `yaml:"kafka" doc:"A topic of Apache Kafka"`
	OTLP    *OTLPSink    `yaml:"otlp" doc:"Logs of OpenTelemetry"`
	Splunk  *SplunkSink  `yaml:"splunk" doc:"A Splunk HTTP Event Collector"`
	Elastic *ElasticSink `yaml:"elasticsearch" doc:"Elasticsearch or OpenSearch, in bulk"`
	Syslog  *SyslogSink  `yaml:"syslog" doc:"Syslog (RFC 5424) over TLS"`
}

// Default implements strict.Defaulter.
func (s *Sink) Default() {
	s.Begin, s.Timeout, s.Retry = "oldest", 10*time.Second, 30*time.Second
	s.Batch = SinkBatch{Receipts: 500, Size: notation.MiB, Wait: 200 * time.Millisecond}
}

// SinkFilter says which receipts a sink gets. What is absent asks for nothing.
type SinkFilter struct {
	Actions  []string `yaml:"actions" oneof:"allow|hold|deny" min:"1" doc:"Receipts with one of these verdicts"`
	Reasons  []string `yaml:"reasons" min:"1" doc:"Receipts with one of these reasons (docs/reasons.md)"`
	Servers  []string `yaml:"servers" min:"1" doc:"Receipts about one of these servers"`
	Tenants  []string `yaml:"tenants" min:"1" doc:"Receipts of callers of one of these tenants"`
	Events   []string `yaml:"events" min:"1" doc:"Receipts with an event of one of these kinds"`
	Severity string   `yaml:"severity" oneof:"info|low|medium|high|critical" doc:"Receipts and records that are at least as severe (docs/audit-sinks.md)"`
}

// SinkMask says what a sink does not get to see.
type SinkMask struct {
	Remove []string           `yaml:"remove" min:"1" doc:"Members that are left out, such as detail or arguments.card"`
	Hash   []string           `yaml:"hash" min:"1" doc:"Members whose values become an HMAC-SHA256 under key: equal ones stay equal"`
	Key    notation.SecretRef `yaml:"key" doc:"Key of hash, 16 bytes or more"`
}

// SinkBatch bounds what goes out at once.
type SinkBatch struct {
	Receipts int           `yaml:"receipts" min:"1" max:"10000" doc:"Receipts"`
	Size     notation.Size `yaml:"size" min:"1KiB" max:"64MiB" doc:"Size of them together, more or less"`
	Wait     time.Duration `yaml:"wait" min:"10ms" max:"1m" doc:"How often the log is looked at, and so how long receipts wait for others to go with them"`
}

// SinkTLS says how a system and the gateway prove who they are.
type SinkTLS struct {
	CA          notation.SecretRef `yaml:"ca" doc:"PEM of the certificate authorities to trust; the system's when absent"`
	Certificate notation.SecretRef `yaml:"certificate" doc:"PEM of the certificate that the gateway shows"`
	Key         notation.SecretRef `yaml:"key" doc:"PEM of its key"`
}

// FileSink is lines in a file.
type FileSink struct {
	Path string        `yaml:"path" required:"true" doc:"stdout, or a file that is this sink's alone; relative to this file"`
	Size notation.Size `yaml:"rotate_at" min:"64KiB" doc:"A file is put aside when it would be larger"`
	Keep int           `yaml:"keep" min:"1" max:"1000" doc:"So many files that were put aside: PATH.1 is the newest"`
}

// Default implements strict.Defaulter.
func (f *FileSink) Default() { f.Size, f.Keep = 256*notation.MiB, 10 }

// WebhookSink is JSON lines by HTTP.
type WebhookSink struct {
	URL      string             `yaml:"url" required:"true" doc:"Where lines are posted to; https unless it is this machine"`
	SignWith notation.SecretRef `yaml:"sign_with" required:"true" doc:"Secret of the signatures, 16 bytes or more"`
	Token    notation.SecretRef `yaml:"token" doc:"Bearer token to show"`
	TLS      SinkTLS            `yaml:"tls" doc:"How both prove who they are"`
}

// KafkaSink is a topic of Apache Kafka.
type KafkaSink struct {
	Brokers []notation.DialAddress `yaml:"brokers" required:"true" min:"1" doc:"Some brokers of the cluster"`
	Topic   string                 `yaml:"topic" required:"true" doc:"Topic, which must exist; receipts of one tenant go to one partition"`
	SASL    KafkaSASL              `yaml:"sasl" doc:"Who the gateway is"`
	TLS     KafkaTLS               `yaml:"tls" doc:"How both prove who they are; needed unless all brokers are this machine"`
}

// KafkaSASL says who the gateway is to Kafka.
type KafkaSASL struct {
	Mechanism string             `yaml:"mechanism" oneof:"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512" doc:"How the password is shown"`
	Username  string             `yaml:"username" doc:"User"`
	Password  notation.SecretRef `yaml:"password" doc:"Password"`
}

// KafkaTLS says how brokers and gateway prove who they are.
type KafkaTLS struct {
	Enabled bool `yaml:"enabled" doc:"Speak TLS 1.2 or newer"`
	SinkTLS `yaml:",inline"`
}

// OTLPSink is a receiver of OpenTelemetry logs.
type OTLPSink struct {
	Endpoint string             `yaml:"endpoint" required:"true" doc:"URL of the receiver, such as https://collector:4317; with http, v1/logs below it is posted to"`
	Protocol string             `yaml:"protocol" oneof:"grpc|http" doc:"Way of OTLP; http sends protobuf"`
	Token    notation.SecretRef `yaml:"token" doc:"Bearer token to show"`
	TLS      SinkTLS            `yaml:"tls" doc:"How both prove who they are"`
}

// Default implements strict.Defaulter.
func (o *OTLPSink) Default() { o.Protocol = "grpc" }

// SplunkSink is a Splunk HTTP Event Collector.
type SplunkSink struct {
	URL         string             `yaml:"url" required:"true" doc:"Root of the collector, such as https://splunk:8088"`
	Token       notation.SecretRef `yaml:"token" required:"true" doc:"Token of the collector"`
	Acknowledge bool               `yaml:"acknowledge" doc:"Wait until indexers acknowledge, which must be enabled for the token; without it, what a collector loses before it is indexed is lost there"`
	Index       string             `yaml:"index" doc:"Index; the token's own when absent"`
	Source      string             `yaml:"source" doc:"Source of the events"`
	SourceType  string             `yaml:"sourcetype" doc:"Source type of the events"`
	TLS         SinkTLS            `yaml:"tls" doc:"How both prove who they are"`
}

// Default implements strict.Defaulter.
func (s *SplunkSink) Default() {
	s.Acknowledge, s.Source, s.SourceType = true, "sallyport", "sallyport:receipt"
}

// ElasticSink is Elasticsearch or OpenSearch.
type ElasticSink struct {
	URL      string             `yaml:"url" required:"true" doc:"Root of the cluster, such as https://opensearch:9200"`
	Index    string             `yaml:"index" doc:"Documents go to INDEX-2026.11.26, by the day of the receipt (UTC)"`
	Username string             `yaml:"username" doc:"User, with password"`
	Password notation.SecretRef `yaml:"password" doc:"Password of the user"`
	APIKey   notation.SecretRef `yaml:"api_key" doc:"API key, encoded, instead of a user"`
	TLS      SinkTLS            `yaml:"tls" doc:"How both prove who they are"`
}

// Default implements strict.Defaulter.
func (e *ElasticSink) Default() { e.Index = "sallyport-receipts" }

// SyslogSink is a receiver of syslog.
type SyslogSink struct {
	Address    notation.DialAddress `yaml:"address" required:"true" doc:"Receiver, such as siem.internal:6514"`
	Protocol   string               `yaml:"protocol" oneof:"tls|tcp" doc:"tls (RFC 5425), or the same without TLS to a receiver on this machine"`
	Facility   string               `yaml:"facility" oneof:"user|daemon|auth|authpriv|audit|local0|local1|local2|local3|local4|local5|local6|local7" doc:"Facility of the messages; audit is number 13"`
	Hostname   string               `yaml:"hostname" doc:"Host that messages are from; this machine's name when absent"`
	ServerName string               `yaml:"server_name" doc:"Name that the receiver's certificate must have; the host of its address when absent"`
	TLS        SinkTLS              `yaml:"tls" doc:"How both prove who they are"`
}

// Default implements strict.Defaulter.
func (s *SyslogSink) Default() { s.Protocol, s.Facility = "tls", "audit" }
