package accesslog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/outbound"
	"github.com/sallyport/sallyport/mcp"
)

// book notes what closing receipts would say.
type book struct {
	mu    sync.Mutex
	ended []string
	last  time.Time // that one says it was at its end
}

func (*book) Observe(context.Context, *guard.Exchange, *mcp.Message, *guard.Decision) error {
	return nil
}

func (b *book) Ended(_ context.Context, x *guard.Exchange, o *guard.Outcome) {
	end, _ := audit.EndOf(x, o)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = append(b.ended, x.ID+" "+string(end))
	if at := x.Started.Add(o.Elapsed); at.After(b.last) {
		b.last = at
	}
}

func (b *book) list() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.ended...)
}

const id = "0123456789abcdef0123456789abcdef"

func entry(exchange string, flags *datav3.ResponseFlags) *datav3.HTTPAccessLogEntry {
	return &datav3.HTTPAccessLogEntry{
		CommonProperties: &datav3.AccessLogCommon{
			ResponseFlags: flags, Duration: durationpb.New(time.Second),
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{envoymap.AuthzNamespace: {Fields: map[string]*structpb.Value{
				envoymap.ExchangeKey: structpb.NewStringValue(exchange), envoymap.WorkloadKey: structpb.NewStringValue("crm"), "scheme": structpb.NewStringValue("https"),
			}}}},
		},
		Request:  &datav3.HTTPRequestProperties{RequestMethod: corev3.RequestMethod_CONNECT, RequestBodyBytes: 12},
		Response: &datav3.HTTPResponseProperties{ResponseBodyBytes: 34, ResponseCode: wrapperspb.UInt32(200)},
	}
}

func start(t *testing.T) (*Server, *book, *outbound.Recorder, logv3.AccessLogServiceClient) {
	t.Helper()
	b, r := &book{}, &outbound.Recorder{}
	s := New(gate.NewHolder(&gate.Snapshot{Outbound: &outbound.Judge{Observers: []guard.Observer{b}, Recorder: r}}), slog.New(slog.DiscardHandler))
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	s.Register(g)
	l := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); s.Wait() })
	c, err := grpc.NewClient("passthrough:///in-process", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return s, b, r, logv3.NewAccessLogServiceClient(c)
}

func open(t *testing.T, c logv3.AccessLogServiceClient, listener string) logv3.AccessLogService_StreamAccessLogsClient {
	t.Helper()
	ctx := t.Context()
	if listener != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, envoymap.EgressMetadata, listener)
	}
	stream, err := c.StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func say(t *testing.T, s logv3.AccessLogService_StreamAccessLogsClient, list ...*datav3.HTTPAccessLogEntry) {
	t.Helper()
	m := &logv3.StreamAccessLogsMessage{LogEntries: &logv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &logv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: list}}}
	if err := s.Send(m); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestEntriesAboutWhatWentOutBecomeEnds(t *testing.T) {
	_, b, r, c := start(t)
	s := open(t, c, "egress0")
	say(t, s, entry(id, nil), entry(id, &datav3.ResponseFlags{DownstreamConnectionTermination: true}),
		entry(`x","action":"allow`, nil), // an id that would write members of its own
		entry("", nil), &datav3.HTTPAccessLogEntry{}, entry(id, &datav3.ResponseFlags{UpstreamConnectionFailure: true}))
	if _, err := s.CloseAndRecv(); err != nil && !errors.Is(err, io.EOF) && status.Code(err) != codes.Internal { // no answer is ever sent
		t.Error(err)
	}
	want := []string{id + " server_closed", id + " client_left", id + " server_failed"}
	got := b.list()
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Sent()["crm"] != 36 || r.Received()["crm"] != 102 {
		t.Errorf("%v %v", r.Sent(), r.Received())
	}
}

// A receipt from the future would have sinks believe that they are not behind, and say
// nothing again after a restart.
func TestAnEnvoyWhoseClockIsAheadWritesNoReceiptsOfTheFuture(t *testing.T) {
	_, b, _, c := start(t)
	s := open(t, c, "egress0")
	var all []*datav3.HTTPAccessLogEntry
	for _, start := range []time.Time{time.Now().Add(time.Hour), time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		for _, lasted := range []time.Duration{-time.Hour, 0, time.Hour, 1<<63 - 1} {
			e := entry(id, nil)
			e.CommonProperties.StartTime, e.CommonProperties.Duration = timestamppb.New(start), durationpb.New(lasted)
			all = append(all, e)
		}
	}
	say(t, s, all...)
	_, _ = s.CloseAndRecv()
	if got := b.list(); len(got) != len(all) || b.last.After(time.Now()) {
		t.Errorf("%d entries, the last of %s", len(got), b.last)
	}
}

func TestAnEntryOfNoEgressListenerIsRefused(t *testing.T) {
	_, b, _, c := start(t)
	s := open(t, c, "")
	say(t, s, entry(id, nil))
	if _, err := s.CloseAndRecv(); status.Code(err) != codes.FailedPrecondition {
		t.Error(err)
	}
	if got := b.list(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestStreamsThatEnvoyNeverEndsDoNotHoldUpADrain(t *testing.T) {
	server, b, _, c := start(t)
	s := open(t, c, "egress0")
	say(t, s, entry(id, nil))
	for deadline := time.Now().Add(time.Minute); len(b.list()) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	server.Drain()
	if err := s.RecvMsg(&logv3.StreamAccessLogsResponse{}); err == nil {
		t.Error("the stream goes on")
	}
	server.Wait()
	if got := b.list(); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}
