// Package extproc is Envoy's external processor: it turns Envoy's messages
// about one HTTP exchange into MCP messages, has each judged by the guard
// chain, and turns the decisions back into Envoy's words.
//
// The processing mode is fixed: request headers and the BUFFERED body, response
// headers and the FULL_DUPLEX_STREAMED body with trailers. Only where no guard
// wants messages to the client may the response be left out.
//
// Law of the stream: it ends with status OK only after Envoy ended it. An early
// OK makes Envoy pass whatever is left unjudged.
package extproc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
)

// Server is the ext_proc service.
type Server struct {
	extprocv3.UnimplementedExternalProcessorServer
	source  gate.Source
	log     *slog.Logger
	revoked func(*guard.Principal) (why string) // nil: nobody is

	mu      sync.Mutex
	streams map[*stream]struct{} // open event streams, which a drain has to end
	drained bool
}

// New returns a service that judges with the snapshots of source. revoked says
// why an open stream must not go on for its client, or returns ""; it may be nil.
func New(source gate.Source, log *slog.Logger, revoked func(*guard.Principal) (why string)) *Server {
	return &Server{source: source, log: log, revoked: revoked, streams: make(map[*stream]struct{})}
}

// Register adds the service to g.
func (s *Server) Register(g *grpc.Server) { extprocv3.RegisterExternalProcessorServer(g, s) }

// settleTime is how long guards may take to settle an exchange.
const settleTime = 2 * time.Second

// Process serves one HTTP exchange.
func (s *Server) Process(g extprocv3.ExternalProcessor_ProcessServer) (err error) {
	ctx := g.Context()
	if _, ok := envoymap.EgressListener(ctx); ok {
		return countBytes(ctx, g)
	}
	st := &stream{m: newMachine(s.source.Current(), envoymap.ServerOf(ctx), g.Send), log: s.log}
	st.m.wishes = envoymap.WishesOf(ctx)
	if st.m.snap.Tracer != nil {
		ctx = guard.WithTrace(ctx, &st.m.x.Trace)
	}
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(st, p)
		}
		s.finish(ctx, st, err)
	}()
	for {
		req, err := g.Recv()
		if errors.Is(err, io.EOF) {
			return nil // Envoy is done with the exchange
		}
		if err != nil {
			return err // usually Canceled, which is how Envoy ends a finished exchange
		}
		open, err := st.step(ctx, req)
		if err != nil {
			if !isReset(err) {
				s.log.ErrorContext(ctx, "ext_proc: stream failed", "err", err, "exchange", st.m.x.ID)
			}
			return failure(err)
		}
		if open && !st.listed {
			s.list(st)
		}
	}
}

// failure makes sure that no error reads as OK.
func failure(err error) error {
	if status.Code(err) == codes.OK || status.Code(err) == codes.Unknown {
		return status.Error(codes.Internal, err.Error())
	}
	return err
}

func (s *Server) panicked(st *stream, p any) error {
	s.log.Error("ext_proc: panic", "panic", p, "stack", string(debug.Stack()), "exchange", st.m.x.ID)
	return status.Error(codes.Internal, "panic")
}

// isReset tells an exchange that Envoy ended from a broken transport.
func isReset(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}

func (s *Server) finish(ctx context.Context, st *stream, err error) {
	if st.listed {
		s.mu.Lock()
		delete(s.streams, st)
		s.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	st.close(ctx, err)
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
	s.reconsider(st) // its client may have been revoked since it was admitted
}

// reconsider ends a listed stream whose client was revoked.
func (s *Server) reconsider(st *stream) {
	if s.revoked == nil {
		return
	}
	if why := s.revoked(&st.m.x.Principal); why != "" {
		st.revoke(why)
	}
}

// Reconsider ends the open event streams of those who were revoked, in a way
// that clients can read. Whoever revokes calls it afterwards.
func (s *Server) Reconsider() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.streams))
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, st := range open { // together, as in Drain
		if s.revoked != nil && s.revoked(&st.m.x.Principal) != "" {
			all.Go(func() { s.reconsider(st) })
		}
	}
	all.Wait()
}

// Drain ends every open event stream in a way that clients can read, because
// such streams would outlive any patience; those that open later end at once.
// It returns when all have been told. Call it before grpc.Server.GracefulStop.
func (s *Server) Drain() {
	s.mu.Lock()
	s.drained = true
	open := make([]*stream, 0, len(s.streams))
	for st := range s.streams {
		open = append(open, st)
	}
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, st := range open { // together: one that Envoy does not read must not hold up the others
		all.Go(st.drain)
	}
	all.Wait()
}

// Open returns the number of open event streams.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}
