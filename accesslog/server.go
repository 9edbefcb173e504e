// Package accesslog hears from Envoy how what went out through egress listeners
// ended. No filter can tell: ext_authz is asked once, and what flows in a tunnel
// passes ext_proc by, unless it is counted. So Envoy sends its access log entries, of
// these listeners alone, to the service that let the exchanges out.
//
// What an entry says is believed as what Envoy asks is: whoever reaches this service
// could as well judge. Nothing is allowed because of it.
package accesslog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
)

// Server is Envoy's access log service.
type Server struct {
	logv3.UnimplementedAccessLogServiceServer
	source  gate.Source
	log     *slog.Logger
	quit    chan struct{}
	end     func()
	reading sync.WaitGroup
}

// New returns a service that hands entries to the judges of source.
func New(source gate.Source, log *slog.Logger) *Server {
	s := &Server{source: source, log: log, quit: make(chan struct{})}
	s.end = sync.OnceFunc(func() { close(s.quit) })
	return s
}

// Register adds the service to g.
func (s *Server) Register(g *grpc.Server) { logv3.RegisterAccessLogServiceServer(g, s) }

// Drain ends all streams of entries, which Envoys keep open for good. They open new
// ones, to another replica once this one takes none.
func (s *Server) Drain() { s.end() }

// Wait returns when what was received is kept. Call it after the gRPC server stopped.
func (s *Server) Wait() { s.reading.Wait() }

// patience is how long one entry may take to be kept.
const patience = 2 * time.Second

// StreamAccessLogs takes the entries of one of Envoy's threads.
func (s *Server) StreamAccessLogs(g logv3.AccessLogService_StreamAccessLogsServer) error {
	listener, ok := envoymap.EgressListener(g.Context())
	if !ok {
		return status.Error(codes.FailedPrecondition, "entries are taken of egress listeners alone")
	}
	ended := make(chan error, 1)
	s.reading.Go(func() { ended <- s.read(g, listener) })
	select {
	case err := <-ended:
		return err
	case <-s.quit:
		return nil // with which reading ends too
	}
}

func (s *Server) read(g logv3.AccessLogService_StreamAccessLogsServer, listener string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("access log: panic", "panic", p, "stack", string(debug.Stack()), "listener", listener)
			err = status.Error(codes.Internal, "panic")
		}
	}()
	for {
		m, err := g.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			x, o, ok := envoymap.Farewell(listener, e)
			judge := s.source.Current().Outbound
			if !ok || judge == nil {
				s.log.Warn("access log: an entry is about nothing that went out", "listener", listener)
				continue
			}
			past(&x, &o, time.Now())
			ctx, cancel := context.WithTimeout(context.WithoutCancel(g.Context()), patience)
			judge.Close(ctx, &x, &o)
			cancel()
		}
	}
}

// past moves an exchange so that it has ended by now. What is older than a receipt, and
// how far a sink is behind, is told by the times of receipts, and an Envoy's clock may
// be ahead of ours.
func past(x *guard.Exchange, o *guard.Outcome, now time.Time) {
	o.Elapsed = max(0, o.Elapsed)
	if begun := now.Add(-o.Elapsed); x.Started.After(begun) {
		x.Started = begun
	}
}
