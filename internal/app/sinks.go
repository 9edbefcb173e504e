package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/audit/siem"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/sink/file"
	"github.com/sallyport/sallyport/internal/sink/syslog"
	"github.com/sallyport/sallyport/internal/sink/webhook"
)

// openSinks begins to deliver what the receipt directory holds. Without one
// there are no sinks.
func (g *Gateway) openSinks(cfg *config.Config) error {
	kept, ok := g.receipts.(*audit.Kept)
	if !ok {
		return nil
	}
	early := false // and then there are no names to be written down yet
	begun := func() {
		if early = g.reading.Load() == nil; !early {
			kept.Turn()
		}
	}
	s := deliver.New(deliver.Options{Directory: cfg.Receipts.Directory, Head: kept.Head, Writes: kept.Segment, Log: g.log, Now: time.Now,
		Key: g.signs.key, Trust: g.signs.before, Before: kept.Deliveries(), Begun: begun, Tell: g.distrusted})
	g.sinks = s
	if err := g.applySinks(cfg); err != nil {
		return err
	}
	g.reading.Store(s)
	if early {
		kept.Turn()
	}
	return nil
}

// needed returns the oldest segment of receipts that a sink has to read still.
func (g *Gateway) needed() (segment uint64, some bool) {
	s := g.reading.Load()
	if s == nil {
		return 0, true // nobody knows yet
	}
	return s.Behind()
}

// applySinks makes the sinks those of a configuration.
func (g *Gateway) applySinks(cfg *config.Config) error {
	if g.sinks == nil {
		return nil
	}
	specs, err := sinkSpecs(cfg, g.o.Stdout)
	if err != nil {
		return err
	}
	return g.sinks.Apply(specs)
}

// closeSinks delivers what there is still, within the time that ctx gives.
func (g *Gateway) closeSinks(ctx context.Context) {
	if g.sinks != nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		g.sinks.Close(ctx)
	}
}

// sinkSpecs makes of each configured sink what delivers to it. It reads the
// secrets once, so that a missing one is found before the sink is used.
func sinkSpecs(cfg *config.Config, stdout io.Writer) ([]deliver.Spec, error) {
	var (
		out  []deliver.Spec
		errs []error
	)
	for i := range cfg.Sinks {
		c := &cfg.Sinks[i]
		spec, err := sinkSpec(c, stdout)
		if err != nil {
			errs = append(errs, fmt.Errorf("sinks: %s: %w", c.Name, err))
			continue
		}
		out = append(out, spec)
	}
	return out, errors.Join(errs...)
}

func sinkSpec(c *config.Sink, stdout io.Writer) (deliver.Spec, error) {
	s := deliver.Spec{
		Name: c.Name, Kind: c.Kind(), Filter: sinkFilter(c), Newest: c.Begin == "newest",
		Items: c.Batch.Receipts, Bytes: int(c.Batch.Size), Wait: c.Batch.Wait, Timeout: c.Timeout, Retry: c.Retry,
	}
	same, err := json.Marshal(c) // references and not secrets
	if err != nil {
		return s, err
	}
	s.Same = string(same)
	var key []byte
	if c.Mask.Key.Kind != "" {
		secret, err := c.Mask.Key.Resolve()
		if err != nil {
			return s, fmt.Errorf("mask.key: %w", err)
		}
		key = []byte(secret.Reveal())
	}
	if s.Mask, err = deliver.NewMask(c.Mask.Remove, c.Mask.Hash, key); err != nil {
		return s, fmt.Errorf("mask: %w", err)
	}
	switch {
	case c.File != nil:
		o := file.Options{Path: c.File.Path, Size: int64(c.File.Size), Keep: c.File.Keep}
		if o.Path == "stdout" {
			o.Stream = stdout
		}
		s.Open = func() (deliver.Sink, error) { return file.Open(o) }
	case c.Webhook != nil:
		s.Open, err = webhookSink(c.Webhook)
	case c.Kafka != nil:
		s.Facts = true // the tenant is the key
		s.Open, err = kafkaSink(c)
	case c.OTLP != nil:
		s.Facts = true
		s.Open, err = otlpSink(c.OTLP)
	case c.Splunk != nil:
		s.Facts = true
		s.Open, err = splunkSink(c.Splunk)
	case c.Elastic != nil:
		s.Open, err = elasticSink(c.Elastic)
	case c.Syslog != nil:
		s.Facts, s.Overlap = true, syslog.Overlap
		s.Open, err = syslogSink(c.Syslog)
	}
	switch c.FormatOf() {
	case "cef":
		s.Format = siem.CEF
	case "ocsf":
		s.Format = siem.OCSF
	}
	return s, err
}

func sinkFilter(c *config.Sink) deliver.Filter {
	f := deliver.Filter{Actions: c.Only.Actions, Reasons: c.Only.Reasons, Servers: c.Only.Servers, Tenants: c.Only.Tenants, Events: c.Only.Events}
	for _, what := range c.Send {
		f.Kinds = append(f.Kinds, map[string]deliver.Kind{"receipts": deliver.Receipt, "records": deliver.Record, "checkpoints": deliver.Checkpoint}[what])
	}
	for i, word := range deliver.Severities() {
		if word == c.Only.Severity {
			f.Severity = deliver.Severity(i)
		}
	}
	return f
}

func webhookSink(c *config.WebhookSink) (func() (deliver.Sink, error), error) {
	o, err := sinkRemote(c.URL, c.Token, c.TLS)
	if err != nil {
		return nil, err
	}
	secret := reveal(c.SignWith)
	if text, err := secret(); err != nil || len(text) < 16 {
		return nil, errors.Join(err, errors.New("webhook.sign_with: needs 16 bytes or more"))
	}
	return over(o, func(client *remote.Client) (deliver.Sink, error) {
		return webhook.New(webhook.Options{Client: client, Secret: secret, Now: time.Now}), nil
	}), nil
}

// reveal reads a secret whenever it is asked for, so that a changed one takes
// effect.
func reveal(r notation.SecretRef) func() (string, error) {
	return func() (string, error) {
		s, err := r.Resolve()
		return s.Reveal(), err
	}
}

// maxSinkReply bounds what a system may say to a delivery.
const maxSinkReply = 8 << 20

// sinkRemote says how a system is spoken to by HTTP; token is a bearer token.
func sinkRemote(url string, token notation.SecretRef, c config.SinkTLS) (remote.Options, error) {
	o := remote.Options{URL: url, MaxReply: maxSinkReply}
	if token.Kind != "" {
		o.Token = reveal(token)
		if _, err := o.Token(); err != nil {
			return o, fmt.Errorf("token: %w", err)
		}
	}
	var err error
	o.CA, o.Certificate, err = sinkTLS(c)
	return o, err
}

// sinkTLS reads whom to trust, and how to get the certificate to show.
func sinkTLS(c config.SinkTLS) (ca []byte, own func() (*tls.Certificate, error), err error) {
	if c.CA.Kind != "" {
		text, err := reveal(c.CA)()
		if err != nil {
			return nil, nil, fmt.Errorf("tls.ca: %w", err)
		}
		ca = []byte(text)
	}
	if c.Certificate.Kind == "" {
		return ca, nil, nil
	}
	own = func() (*tls.Certificate, error) {
		cert, err := reveal(c.Certificate)()
		if err != nil {
			return nil, err
		}
		key, err := reveal(c.Key)()
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		return &pair, err
	}
	if _, err := own(); err != nil {
		return nil, nil, fmt.Errorf("tls: %w", err)
	}
	return ca, own, nil
}
