package config

import (
	"net/url"
	"regexp"
	"slices"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/config/strict"
)

var sinkName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// kinds are the systems that a sink may be: one of them is written.
func (s *Sink) kinds() map[string]bool {
	return map[string]bool{"file": s.File != nil, "webhook": s.Webhook != nil, "kafka": s.Kafka != nil, "otlp": s.OTLP != nil,
		"splunk": s.Splunk != nil, "elasticsearch": s.Elastic != nil, "syslog": s.Syslog != nil}
}

// Kind names the system.
func (s *Sink) Kind() string {
	for kind, is := range s.kinds() {
		if is {
			return kind
		}
	}
	return ""
}

// Check reports settings that contradict each other.
func (s *Sink) Check(at strict.At) {
	if p := at.Field("name"); p.Exists() && p.OK() && !sinkName.MatchString(s.Name) {
		p.Report("is no name of a sink: lower-case letters, digits, hyphens and underscores, 63 at most")
	}
	n := 0
	for _, is := range s.kinds() {
		if is {
			n++
		}
	}
	switch {
	case n == 0 && at.OK():
		at.Report("says not where to: write one of file, webhook, kafka, otlp, splunk, elasticsearch, syslog")
	case n > 1:
		at.Report("is more than one system: write a sink for each")
	}
	if kind, format := s.Kind(), at.Field("format"); s.Format == "cef" && kind != "file" && kind != "syslog" && kind != "kafka" && n == 1 && format.OK() {
		format.Report("cef is no JSON, which %s needs", kind)
	}
	s.checkMask(at.Field("mask"))
	s.checkSystem(at.Field(s.Kind()))
	if s.File != nil && s.File.Path == "" && at.Field("file").OK() {
		at.Field("file").Field("path").Report("is empty")
	}
}

// checkSystem reports what is wrong with the system's own settings.
func (s *Sink) checkSystem(at strict.At) {
	switch {
	case s.Webhook != nil:
		checkSinkURL(at.Field("url"), s.Webhook.URL)
		s.Webhook.TLS.check(at.Field("tls"))
	case s.OTLP != nil:
		checkSinkURL(at.Field("endpoint"), s.OTLP.Endpoint)
		s.OTLP.TLS.check(at.Field("tls"))
	case s.Splunk != nil:
		checkSinkURL(at.Field("url"), s.Splunk.URL)
		s.Splunk.TLS.check(at.Field("tls"))
	case s.Elastic != nil:
		checkSinkURL(at.Field("url"), s.Elastic.URL)
		s.Elastic.check(at)
	case s.Syslog != nil:
		if p := at.Field("protocol"); s.Syslog.Protocol == "tcp" && p.OK() && !loopback(s.Syslog.Address.Host) {
			p.Report("must be tls to another machine: receipts tell who did what")
		}
		s.Syslog.TLS.check(at.Field("tls"))
	case s.Kafka != nil:
		s.Kafka.check(at)
	}
}

func (e *ElasticSink) check(at strict.At) {
	e.TLS.check(at.Field("tls"))
	if !at.OK() {
		return
	}
	if !indexName.MatchString(e.Index) {
		at.Field("index").Report("is no name of an index: lower-case letters, digits, dots, hyphens and underscores, a letter or digit first")
	}
	switch {
	case (e.Username == "") != (e.Password.Kind == ""):
		at.Report("needs username and password together")
	case e.Username != "" && e.APIKey.Kind != "":
		at.Field("api_key").Report("cannot be beside username")
	}
}

var indexName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,200}$`)

func (k *KafkaSink) check(at strict.At) {
	k.TLS.check(at.Field("tls"))
	if !at.OK() {
		return
	}
	sasl := k.SASL.Mechanism != ""
	if (k.SASL.Username != "") != sasl || (k.SASL.Password.Kind != "") != sasl {
		at.Field("sasl").Report("needs mechanism, username and password together")
	}
	if !k.TLS.Enabled && (k.TLS.CA.Kind != "" || k.TLS.Certificate.Kind != "") {
		at.Field("tls").Report("needs enabled: true, or nothing of it takes effect")
	}
	for i, b := range k.Brokers {
		if !k.TLS.Enabled && !loopback(b.Host) {
			at.Field("brokers").Item(i).Report("needs tls: receipts tell who did what")
		}
	}
}

func (s *Sink) checkMask(at strict.At) {
	m := s.Mask
	if !at.OK() {
		return
	}
	switch {
	case len(m.Hash) > 0 && m.Key.Kind == "":
		at.Field("hash").Report("needs mask.key: a hash without one can be tried against every value")
	case len(m.Hash) == 0 && m.Key.Kind != "":
		at.Field("key").Report("has no effect without hash")
	case len(m.Remove)+len(m.Hash) > 0 && slices.Contains(s.Send, "checkpoints"):
		at.Report("cannot be where checkpoints are sent: by them values that are masked can be tried; write another sink for checkpoints")
	default:
		if _, err := deliver.NewMask(m.Remove, m.Hash, make([]byte, 16)); err != nil {
			at.Report("%v", err)
		}
	}
}

func (t *SinkTLS) check(at strict.At) {
	if at.OK() && (t.Certificate.Kind == "") != (t.Key.Kind == "") {
		at.Report("needs certificate and key together")
	}
}

// checkSinkURL demands a URL that receipts can be sent to unread.
func checkSinkURL(at strict.At, text string) {
	if !at.Exists() || !at.OK() {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "":
		at.Report("is no plain http or https URL, without a password")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		at.Report("needs https: receipts tell who did what")
	}
}

// checkSinks reports what one sink does not show by itself.
func (c *Config) checkSinks(at strict.At) {
	if len(c.Sinks) > 0 && c.Receipts.Directory == "" && at.OK() {
		at.Report("need receipts.directory: sinks are delivered from the chained log")
	}
	names, files := make(map[string]bool), make(map[string]bool)
	for i := range c.Sinks {
		s, item := &c.Sinks[i], at.Item(i)
		if names[s.Name] && item.Field("name").OK() {
			item.Field("name").Report("%q is already the name of another sink", s.Name)
		}
		names[s.Name] = true
		if s.File == nil {
			continue
		}
		p := item.Field("file").Field("path")
		if files[s.File.Path] && s.File.Path != "stdout" && p.OK() {
			p.Report("is already the file of another sink")
		}
		files[s.File.Path] = true
		if p.OK() && p.Exists() && c.Receipts.Directory != "" && within(c.Receipts.Directory, s.File.Path) && s.File.Path != "stdout" {
			p.Report("must be a file outside of receipts.directory")
		}
	}
}

// FormatOf returns the format of a sink, in which syslog differs from others.
func (s *Sink) FormatOf() string {
	switch {
	case s.Format != "":
		return s.Format
	case s.Kind() == "syslog":
		return "cef"
	}
	return "receipt"
}

// paths are those that may be relative to the configuration.
func (s *Sink) paths() []*string {
	if s.File != nil {
		return []*string{&s.File.Path}
	}
	return nil
}
