// Package extproc is Envoy's external processor: it turns Envoy's messages
// about one HTTP exchange into MCP messages, has each judged by the guard
// chain, and turns the decisions back into Envoy's words.
//
// The processing mode is fixed: request headers and the BUFFERED body, response
// headers and the FULL_DUPLEX_STREAMED body with trailers.
//
// Law of the stream: it ends with status OK only after Envoy ended it. An early
// OK makes Envoy pass whatever is left unjudged.
package extproc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
)

// Server is the ext_proc service.
type Server struct {
	extprocv3.UnimplementedExternalProcessorServer
	source gate.Source
	log    *slog.Logger

	mu      sync.Mutex
	streams map[*stream]struct{} // open event streams, which a drain has to end
	drained bool
}

// New returns a service that judges with the snapshots of source.
func New(source gate.Source, log *slog.Logger) *Server {
	return &Server{source: source, log: log, streams: make(map[*stream]struct{})}
}

// Register adds the service to g.
func (s *Server) Register(g *grpc.Server) { extprocv3.RegisterExternalProcessorServer(g, s) }

// settleTime is how long guards may take to settle an exchange.
const settleTime = 2 * time.Second

// Process serves one HTTP exchange.
func (s *Server) Process(g extprocv3.ExternalProcessor_ProcessServer) (err error) {
	st := &stream{m: newMachine(s.source.Current(), serverName(g.Context()))}
	st.send = g.Send
	st.expire = st.timeout
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("ext_proc: panic", "panic", p, "stack", string(debug.Stack()), "exchange", st.m.x.ID)
			err = status.Error(codes.Internal, "panic")
		}
		s.finish(g.Context(), st, err)
	}()
	for {
		req, err := g.Recv()
		if errors.Is(err, io.EOF) {
			return nil // Envoy is done with the exchange
		}
		if err != nil {
			return err // usually Canceled, which is how Envoy ends a finished exchange
		}
		if err := st.step(g.Context(), req); err != nil {
			s.log.Error("ext_proc: stream failed", "err", err, "exchange", st.m.x.ID)
			return status.Error(codes.Internal, err.Error())
		}
		if st.m.phase == events && !st.listed {
			s.list(st)
		}
	}
}

// serverName is the server that an operator's own Envoy names for the route.
func serverName(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(envoymap.ServerMetadata); len(v) == 1 {
		return v[0]
	}
	return ""
}

func (s *Server) finish(ctx context.Context, st *stream, err error) {
	s.mu.Lock()
	delete(s.streams, st)
	s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	st.m.settle(ctx, err)
}

func (s *Server) list(st *stream) {
	st.listed = true
	s.mu.Lock()
	drained := s.drained
	s.streams[st] = struct{}{}
	s.mu.Unlock()
	if drained {
		st.drain()
	}
}

// Drain ends every open event stream with an error event that clients can
// read, because such streams would outlive any patience. Call it before
// grpc.Server.GracefulStop.
func (s *Server) Drain() {
	s.mu.Lock()
	s.drained = true
	open := make([]*stream, 0, len(s.streams))
	for st := range s.streams {
		open = append(open, st)
	}
	s.mu.Unlock()
	for _, st := range open {
		st.drain()
	}
}

// Open returns the number of open event streams.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// stream joins a machine to its gRPC stream. The lock is needed because a
// deadline or a drain may answer while the next message is awaited.
type stream struct {
	mu     sync.Mutex
	m      *machine
	send   func(*extprocv3.ProcessingResponse) error
	expire func()
	timer  *time.Timer
	listed bool
}

func (st *stream) step(ctx context.Context, req *extprocv3.ProcessingRequest) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.m.step(ctx, req); err != nil {
		return err
	}
	if st.m.phase == holding && st.timer == nil {
		st.timer = time.AfterFunc(st.m.snap.Limits.ResponseTime, st.expire)
	} else if st.m.phase != holding {
		st.stop()
	}
	return st.flush()
}

func (st *stream) flush() error {
	for _, r := range st.m.out {
		if err := st.send(r); err != nil {
			return err
		}
	}
	clear(st.m.out)
	st.m.out = st.m.out[:0]
	return nil
}

func (st *stream) stop() {
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
}

// timeout answers for a server that began a reply and did not end it. Envoy has
// no deadline of its own in this phase.
func (st *stream) timeout() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.m.phase == holding {
		st.m.late(context.Background())
		_ = st.flush() // if it fails, Recv fails too
	}
}

func (st *stream) drain() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.m.phase == events {
		st.m.interrupt(context.Background(), guard.GatewayStopping)
		_ = st.flush()
	}
}
