package app

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/sink/elastic"
	"github.com/sallyport/sallyport/internal/sink/kafka"
	"github.com/sallyport/sallyport/internal/sink/otlp"
	"github.com/sallyport/sallyport/internal/sink/splunk"
	"github.com/sallyport/sallyport/internal/sink/syslog"
)

// opener begins to use a system.
type opener func() (deliver.Sink, error)

func kafkaSink(s *config.Sink) (opener, error) {
	c := s.Kafka
	o := kafka.Options{Topic: c.Topic, TLS: c.TLS.Enabled, Mechanism: c.SASL.Mechanism, User: c.SASL.Username, Batch: s.Batch.Receipts, BatchBytes: int(s.Batch.Size)}
	for _, b := range c.Brokers {
		o.Brokers = append(o.Brokers, b.String())
	}
	if c.SASL.Password.Kind != "" {
		o.Password = reveal(c.SASL.Password)
		if _, err := o.Password(); err != nil {
			return nil, fmt.Errorf("kafka.sasl.password: %w", err)
		}
	}
	var err error
	if o.CA, o.Certificate, err = sinkTLS(c.TLS.SinkTLS); err != nil {
		return nil, err
	}
	return func() (deliver.Sink, error) { return kafka.Open(o) }, nil
}

func otlpSink(c *config.OTLPSink) (opener, error) {
	ro, err := sinkRemote(c.Endpoint, c.Token, c.TLS)
	if err != nil {
		return nil, err
	}
	if c.Protocol == "http" {
		return over(ro, func(client *remote.Client) (deliver.Sink, error) {
			return otlp.Open(otlp.Options{Client: client, Now: time.Now})
		}), nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	address := u.Host
	if u.Port() == "" {
		address += ":4317"
	}
	o := otlp.Options{Address: address, TLS: u.Scheme == "https", CA: ro.CA, Certificate: ro.Certificate, Token: ro.Token, Now: time.Now}
	return func() (deliver.Sink, error) { return otlp.Open(o) }, nil
}

// over opens what speaks to a service with a client of its own.
func over(o remote.Options, use func(*remote.Client) (deliver.Sink, error)) opener {
	return func() (deliver.Sink, error) {
		client, err := remote.New(o)
		if err != nil {
			return nil, err
		}
		return use(client)
	}
}

func splunkSink(c *config.SplunkSink) (opener, error) {
	ro, err := sinkRemote(c.URL, c.Token, c.TLS)
	if err != nil {
		return nil, err
	}
	o := splunk.Options{Token: ro.Token, Ack: c.Acknowledge, Index: c.Index, Source: c.Source, SourceType: c.SourceType, Host: hostname()}
	ro.Token = nil // it is shown in another way than a bearer token
	return over(ro, func(client *remote.Client) (deliver.Sink, error) {
		o := o
		o.Client = client
		return splunk.New(o), nil
	}), nil
}

func elasticSink(c *config.ElasticSink) (opener, error) {
	ro, err := sinkRemote(c.URL, c.APIKey, c.TLS)
	if err != nil {
		return nil, err
	}
	o := elastic.Options{Index: c.Index, User: c.Username, APIKey: ro.Token}
	ro.Token = nil
	if c.Password.Kind != "" {
		o.Password = reveal(c.Password)
		if _, err := o.Password(); err != nil {
			return nil, fmt.Errorf("elasticsearch.password: %w", err)
		}
	}
	return over(ro, func(client *remote.Client) (deliver.Sink, error) {
		o := o
		o.Client = client
		return elastic.New(o), nil
	}), nil
}

// facilities of syslog, RFC 5424, 6.2.1.
var facilities = map[string]int{"user": 1, "daemon": 3, "auth": 4, "authpriv": 10, "audit": 13,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23}

func syslogSink(c *config.SyslogSink) (opener, error) {
	o := syslog.Options{Address: c.Address.String(), TLS: c.Protocol == "tls", ServerName: c.ServerName, Facility: facilities[c.Facility], Hostname: c.Hostname, Now: time.Now}
	if o.Hostname == "" {
		o.Hostname = hostname()
	}
	var err error
	if o.CA, o.Certificate, err = sinkTLS(c.TLS); err != nil {
		return nil, err
	}
	return func() (deliver.Sink, error) { return syslog.New(o) }, nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "sallyport"
	}
	return name
}
