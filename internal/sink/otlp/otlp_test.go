package otlp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
)

// receiver takes log records, unless it is told to say something else.
type receiver struct {
	collector.UnimplementedLogsServiceServer
	mu       sync.Mutex
	got      []*logs.LogRecord
	token    string
	err      error
	rejected int64
}

func (r *receiver) Export(ctx context.Context, req *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if md, ok := metadata.FromIncomingContext(ctx); ok && len(md["authorization"]) > 0 {
		r.token = md["authorization"][0]
	}
	if r.err != nil {
		return nil, r.err
	}
	if r.rejected > 0 {
		return &collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: r.rejected, ErrorMessage: "too old"}}, nil
	}
	for _, rl := range req.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			r.got = append(r.got, sl.LogRecords...)
		}
	}
	return &collector.ExportLogsServiceResponse{}, nil
}

func overGRPC(t *testing.T, r *receiver) *Sink {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	collector.RegisterLogsServiceServer(srv, r)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(srv.Stop)
	s, err := Open(Options{Address: ln.Addr().String(), Token: func() (string, error) { return "t1", nil }, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func overHTTP(t *testing.T, r *receiver) *Sink {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		m := new(collector.ExportLogsServiceRequest)
		if req.URL.Path != "/base/v1/logs" || proto.Unmarshal(b, m) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		reply, err := r.Export(req.Context(), m)
		if err != nil {
			w.WriteHeader(map[codes.Code]int{codes.InvalidArgument: 400}[status.Code(err)])
			return
		}
		out, _ := proto.Marshal(reply)
		_, _ = w.Write(out)
	}))
	t.Cleanup(srv.Close)
	c, err := remote.New(remote.Options{URL: srv.URL + "/base", MaxReply: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Client: c, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

const body = `{"v":1,"seq":7,"action":"deny","reason":"pii_blocked","server":"crm","tenant":"acme","trace_id":"0af7651916cd43dd8448eb211c80319c"}`

func TestReceiptsBecomeLogRecords(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *receiver) *Sink{"grpc": overGRPC, "http": overHTTP} {
		t.Run(name, func(t *testing.T) {
			r := new(receiver)
			s := open(t, r)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			all := []*deliver.Item{{Kind: deliver.Receipt, ID: "r-7", Time: time.Unix(1700000000, 0), Body: []byte(body), Facts: deliver.Facts{Severity: deliver.High}}}
			if _, err := s.Deliver(ctx, all); err != nil {
				t.Fatal(err)
			}
			got := r.got[0]
			attrs := make(map[string]string)
			for _, a := range got.Attributes {
				attrs[a.Key] = a.Value.GetStringValue()
			}
			if got.Body.GetStringValue() != body || got.SeverityNumber != logs.SeverityNumber_SEVERITY_NUMBER_ERROR || got.TimeUnixNano != 1700000000e9 || len(got.TraceId) != 16 ||
				attrs["log.record.uid"] != "r-7" || attrs["tenant.id"] != "acme" || attrs["sallyport.reason"] != "pii_blocked" {
				t.Errorf("%v", got)
			}
			r.rejected = 1
			if _, err := s.Deliver(ctx, all); !errors.Is(err, deliver.ErrRefused) || !strings.Contains(err.Error(), "too old") {
				t.Error(err)
			}
			r.rejected, r.err = 0, status.Error(codes.InvalidArgument, "bad")
			if _, err := s.Deliver(ctx, all); !errors.Is(err, deliver.ErrRefused) {
				t.Error(err)
			}
		})
	}
}

func TestAReceiverThatIsBusyIsTriedAgain(t *testing.T) {
	for _, c := range []codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Unauthenticated, codes.Unimplemented} {
		r := &receiver{err: status.Error(c, "no")}
		s := overGRPC(t, r)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_, err := s.Deliver(ctx, []*deliver.Item{{Body: []byte(body)}})
		cancel()
		if err == nil || errors.Is(err, deliver.ErrRefused) || r.token != "Bearer t1" {
			t.Errorf("%s: %v, %q", c, err, r.token)
		}
	}
}
