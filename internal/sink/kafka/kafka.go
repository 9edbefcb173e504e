// Package kafka produces receipts to a topic of Apache Kafka.
package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// Options say where receipts go.
type Options struct {
	Brokers     []string
	Topic       string
	Mechanism   string // of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty for none
	User        string
	Password    func() (string, error)
	TLS         bool
	CA          []byte // PEM of the authorities to trust; nil for the system's
	Certificate func() (*tls.Certificate, error)
	Batch       int // most receipts of one delivery
	BatchBytes  int // largest request
}

// Sink produces receipts. All in-sync replicas have what it says is taken, and a
// request that is tried again by the client writes nothing twice.
type Sink struct {
	client  *kgo.Client
	records []*kgo.Record
}

// Open makes a client. It connects when it is used.
func Open(o Options) (*Sink, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.DefaultProduceTopic(o.Topic), kgo.ClientID("sallyport"),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // by the hash of the tenant
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(o.Batch + 1), kgo.AllowIdempotentProduceCancellation(), // a delivery ends in time, and what may be there comes again
		kgo.ProducerBatchMaxBytes(int32(min(max(o.BatchBytes, 1<<20), 64<<20))),
	}
	if o.TLS {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CA != nil {
			c.RootCAs = x509.NewCertPool()
			if !c.RootCAs.AppendCertsFromPEM(o.CA) {
				return nil, errors.New("kafka: ca: no certificate in it")
			}
		}
		if o.Certificate != nil {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() }
		}
		opts = append(opts, kgo.DialTLSConfig(c))
	} else {
		opts = append(opts, kgo.Dialer(here))
	}
	if m := o.mechanism(); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Sink{client: c}, nil
}

// here connects in clear text, and so to this machine only: brokers name further
// ones, and those would get the password and the receipts unencrypted.
func here(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, ControlContext: func(_ context.Context, _, to string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(to); err != nil || !at.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("a broker says that receipts go to %s, which needs tls", address)
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// mechanism asks for the password at each connection, so that a new one counts.
func (o *Options) mechanism() sasl.Mechanism {
	switch o.Mechanism {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			p, err := o.Password()
			return plain.Auth{User: o.User, Pass: p}, err
		})
	case "SCRAM-SHA-256":
		return scram.Sha256(o.scram)
	case "SCRAM-SHA-512":
		return scram.Sha512(o.scram)
	}
	return nil
}

func (o *Options) scram(context.Context) (scram.Auth, error) {
	p, err := o.Password()
	return scram.Auth{User: o.User, Pass: p}, err
}

// Deliver implements deliver.Sink.
func (s *Sink) Deliver(ctx context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	s.records = s.records[:0]
	for _, it := range items {
		r := &kgo.Record{Value: append([]byte(nil), it.Body...), Timestamp: it.Time, Headers: []kgo.RecordHeader{ // copied: a record that timed out may be in the client still
			{Key: "id", Value: []byte(it.ID)}, {Key: "kind", Value: []byte(it.Kind)}, {Key: "replica", Value: []byte(it.Replica)},
			{Key: "seq", Value: []byte(strconv.FormatUint(it.Seq, 10))}, {Key: "hash", Value: []byte(it.Hash.String())},
		}}
		if it.Facts.Tenant != "" {
			r.Key = []byte(it.Facts.Tenant)
		}
		if it.Time.IsZero() {
			r.Timestamp = time.UnixMilli(0)
		}
		s.records = append(s.records, r)
	}
	index := make(map[*kgo.Record]int, len(s.records))
	for i, r := range s.records {
		index[r] = i
	}
	var out deliver.Outcome
	failed := make(map[int]error)
	for _, r := range s.client.ProduceSync(ctx, s.records...) { // in the order of completion
		if r.Err != nil {
			failed[index[r.Record]] = r.Err
		}
	}
	for i := range items {
		switch err := failed[i]; {
		case err == nil:
		case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp):
			out.Refused = append(out.Refused, deliver.Refusal{Index: i, Why: "kafka: " + err.Error()})
		default:
			out.Again, out.Why = append(out.Again, i), fmt.Errorf("kafka: %w", err)
		}
	}
	return out, nil
}

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	s.client.Close()
	return nil
}
