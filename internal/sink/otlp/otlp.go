// Package otlp sends receipts as log records of OpenTelemetry.
package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/sink/web"
	"github.com/sallyport/sallyport/mcp"
)

// Options say where receipts go: to Client over HTTP, or to Address over gRPC.
type Options struct {
	Client *remote.Client // at the URL whose v1/logs takes them

	Address     string // host:port
	TLS         bool
	CA          []byte // PEM of the authorities to trust; nil for the system's
	Certificate func() (*tls.Certificate, error)
	Token       func() (string, error) // bearer token; nil for none

	Now func() time.Time
}

// Sink sends receipts.
type Sink struct {
	o    Options
	conn *grpc.ClientConn
}

// Open returns a sink. It connects when it is used.
func Open(o Options) (*Sink, error) {
	s := &Sink{o: o}
	if o.Client != nil {
		return s, nil
	}
	creds := insecure.NewCredentials()
	if o.TLS {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CA != nil {
			c.RootCAs = x509.NewCertPool()
			if !c.RootCAs.AppendCertsFromPEM(o.CA) {
				return nil, errors.New("otlp: ca: no certificate in it")
			}
		}
		if o.Certificate != nil {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() }
		}
		creds = credentials.NewTLS(c)
	}
	conn, err := grpc.NewClient(o.Address, grpc.WithTransportCredentials(creds), grpc.WithUserAgent("sallyport"))
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	s.conn = conn
	return s, nil
}

// Deliver implements deliver.Sink.
func (s *Sink) Deliver(ctx context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	var (
		reply *collector.ExportLogsServiceResponse
		err   error
	)
	if req := s.request(items); s.conn != nil {
		reply, err = s.grpc(ctx, req)
	} else {
		reply, err = s.http(ctx, req)
	}
	if err != nil {
		return deliver.Outcome{}, err
	}
	// A receiver says how many records it refused, and not which: they are told
	// apart by sending fewer at a time.
	if p := reply.GetPartialSuccess(); p.GetRejectedLogRecords() > 0 {
		return deliver.Outcome{}, fmt.Errorf("otlp: %w", deliver.Refuse("%d of %d records: %s", p.GetRejectedLogRecords(), len(items), web.Words([]byte(p.GetErrorMessage()))))
	}
	return deliver.Outcome{}, nil
}

func (s *Sink) grpc(ctx context.Context, req *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	if s.o.Token != nil {
		token, err := s.o.Token()
		if err != nil {
			return nil, fmt.Errorf("otlp: token: %w", err)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	reply, err := collector.NewLogsServiceClient(s.conn).Export(ctx, req)
	if err == nil {
		return reply, nil
	}
	st := status.Convert(err)
	words := web.Words([]byte(st.Message()))
	if st.Code() == codes.InvalidArgument {
		return nil, fmt.Errorf("otlp: %w", deliver.Refuse("%s: %s", st.Code(), words))
	}
	return nil, fmt.Errorf("otlp: %s: %s", st.Code(), words)
}

func (s *Sink) http(ctx context.Context, req *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	r, err := s.o.Client.Post(ctx, "v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}}, body)
	if err == nil {
		err = web.Check(r)
	}
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	reply := new(collector.ExportLogsServiceResponse)
	if err := proto.Unmarshal(r.Body, reply); err != nil {
		return nil, fmt.Errorf("otlp: the reply cannot be read: %w", err)
	}
	return reply, nil
}

// numbers of severities: https://opentelemetry.io/docs/specs/otel/logs/data-model/.
var numbers = map[deliver.Severity]logs.SeverityNumber{
	deliver.Info: logs.SeverityNumber_SEVERITY_NUMBER_INFO, deliver.Low: logs.SeverityNumber_SEVERITY_NUMBER_INFO2,
	deliver.Medium: logs.SeverityNumber_SEVERITY_NUMBER_WARN, deliver.High: logs.SeverityNumber_SEVERITY_NUMBER_ERROR, deliver.Critical: logs.SeverityNumber_SEVERITY_NUMBER_FATAL,
}

// attributes are the members of a receipt that become attributes.
var attributes = map[string]string{
	"action": "sallyport.action", "reason": "sallyport.reason", "guard": "sallyport.guard", "server": "mcp.server", "method": "mcp.method.name",
	"name": "gen_ai.tool.name", "tenant": "tenant.id", "subject": "enduser.id", "agent": "gen_ai.agent.id", "exchange": "sallyport.exchange", "record": "sallyport.record",
}

func (s *Sink) request(items []*deliver.Item) *collector.ExportLogsServiceRequest {
	out := make([]*logs.LogRecord, len(items))
	seen := uint64(s.o.Now().UnixNano())
	for i, it := range items {
		r := &logs.LogRecord{
			ObservedTimeUnixNano: seen, EventName: "sallyport." + string(it.Kind), SeverityNumber: numbers[it.Facts.Severity], SeverityText: it.Facts.Severity.String(),
			Body: text(string(it.Body)), Attributes: []*common.KeyValue{pair("log.record.uid", it.ID), pair("sallyport.replica", it.Replica), pair("sallyport.hash", it.Hash.String())},
		}
		if !it.Time.IsZero() {
			r.TimeUnixNano = uint64(it.Time.UnixNano())
		}
		for key, value := range mcp.Members(it.Body) {
			name, id := attributes[key], key == "trace_id"
			var v string
			if (name == "" && !id) || json.Unmarshal(value, &v) != nil {
				continue
			}
			if id {
				if b, err := hex.DecodeString(v); err == nil && len(b) == 16 {
					r.TraceId = b
				}
				continue
			}
			r.Attributes = append(r.Attributes, pair(name, v))
		}
		out[i] = r
	}
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: []*common.KeyValue{pair("service.name", "sallyport")}},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "github.com/sallyport/sallyport"}, LogRecords: out}},
	}}}
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func pair(key, value string) *common.KeyValue { return &common.KeyValue{Key: key, Value: text(value)} }

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	if s.conn != nil {
		return s.conn.Close()
	}
	s.o.Client.Close()
	return nil
}
