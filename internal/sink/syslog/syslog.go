// Package syslog sends receipts as syslog messages (RFC 5424) over TLS, counted
// as RFC 5425 says.
package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// Options say where messages go.
type Options struct {
	Address     string // host:port
	TLS         bool
	CA          []byte // PEM of the authorities to trust; nil for the system's
	ServerName  string // instead of the address' host
	Certificate func() (*tls.Certificate, error)
	Facility    int
	Hostname    string
	Now         func() time.Time
}

// Overlap is how much is said again. Syslog has no acknowledgements: a batch
// counts as delivered when the other machine's kernel has it, and what went out
// shortly before a connection broke, which its receiver may not have read, goes
// out again on the next one.
const Overlap = 15 * time.Second

// overlapMax bounds the memory of that.
const overlapMax = 16 << 20

// Sink sends messages.
type Sink struct {
	o      Options
	config *tls.Config
	conn   net.Conn
	tcp    *net.TCPConn
	buf    []byte
	sent   []sent // on this connection or, while there is none, on the last one
	size   int
}

type sent struct {
	at   time.Time
	text []byte
}

// New returns a sink. It connects when it is used.
func New(o Options) (*Sink, error) {
	s := &Sink{o: o}
	if !o.TLS {
		return s, nil
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("syslog: %w", err)
	}
	s.config = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if o.ServerName != "" {
		s.config.ServerName = o.ServerName
	}
	if o.CA != nil {
		s.config.RootCAs = x509.NewCertPool()
		if !s.config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("syslog: ca: no certificate in it")
		}
	}
	if o.Certificate != nil {
		s.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() }
	}
	return s, nil
}

// level is how syslog counts severity.
var level = map[deliver.Severity]int{deliver.Info: 6, deliver.Low: 5, deliver.Medium: 4, deliver.High: 3, deliver.Critical: 2}

// append adds one message.
func (s *Sink) append(b []byte, it *deliver.Item) []byte {
	at := "-"
	if !it.Time.IsZero() {
		at = it.Time.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	head := "<" + strconv.Itoa(8*s.o.Facility+level[it.Facts.Severity]) + ">1 " + at + " " + token(s.o.Hostname, 255) + " sallyport " + strconv.Itoa(os.Getpid()) + " " + string(it.Kind) + " - "
	b = strconv.AppendInt(b, int64(len(head)+len(it.Body)), 10)
	b = append(append(b, ' '), head...)
	return append(b, it.Body...)
}

// token is s as a field of the header may be: visible ASCII, not too long.
func token(s string, most int) string {
	out := make([]byte, 0, len(s))
	for i := range min(len(s), most) {
		if c := s[i]; c > ' ' && c < 0x7f {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return string(out)
}

// Deliver implements deliver.Sink.
func (s *Sink) Deliver(ctx context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	var out deliver.Outcome
	s.buf = s.buf[:0]
	for _, it := range items {
		s.buf = s.append(s.buf, it)
	}
	if s.conn != nil && s.gone() {
		s.drop()
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return out, err
		}
	}
	if err := s.write(ctx, s.buf); err != nil {
		s.drop()
		return out, err
	}
	s.remember(s.buf)
	return out, nil
}

// connect makes a new connection, and says again what the last one may have
// swallowed.
func (s *Sink) connect(ctx context.Context) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.o.Address)
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	s.tcp, s.conn = c.(*net.TCPConn), c
	if s.o.TLS {
		t := tls.Client(c, s.config)
		if err := t.HandshakeContext(ctx); err != nil {
			s.drop()
			return fmt.Errorf("syslog: %s: %w", s.o.Address, err)
		}
		s.conn = t
	}
	for _, old := range s.sent {
		if err := s.write(ctx, old.text); err != nil {
			s.drop()
			return err
		}
	}
	return nil
}

// write writes all of b, and waits until the other side's kernel has it.
func (s *Sink) write(ctx context.Context, b []byte) error {
	if at, ok := ctx.Deadline(); ok {
		if err := s.conn.SetDeadline(at); err != nil {
			return fmt.Errorf("syslog: %w", err)
		}
	}
	tcp := s.tcp // which may be no longer the sink's when the function runs
	stop := context.AfterFunc(ctx, func() { _ = tcp.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := s.conn.Write(b); err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		n, err := unacknowledged(s.tcp)
		if err != nil {
			return fmt.Errorf("syslog: %w", err)
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("syslog: %d bytes were not acknowledged in time: %w", n, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// gone reports whether the other side has closed the connection: it never says
// anything, so that the end is all there can be to read.
func (s *Sink) gone() bool {
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	var b [1]byte
	_, err := s.conn.Read(b[:])
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		return s.conn.SetReadDeadline(time.Time{}) != nil
	}
	return true // the end, or somebody who does not speak syslog
}

// remember keeps what may have to be said again.
func (s *Sink) remember(b []byte) {
	now := s.o.Now()
	s.sent = append(s.sent, sent{now, append([]byte(nil), b...)})
	s.size += len(b)
	for len(s.sent) > 0 && (now.Sub(s.sent[0].at) > Overlap || s.size > overlapMax) {
		s.size -= len(s.sent[0].text)
		s.sent = s.sent[1:]
	}
}

func (s *Sink) drop() {
	if s.conn != nil {
		_ = s.conn.Close() // what it had is sent again
		s.conn, s.tcp = nil, nil
	}
}

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn, s.tcp = nil, nil
	return err
}
