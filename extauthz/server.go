// Package extauthz is Envoy's external authorization service over the guard
// chain, for meshes that cannot run ext_proc. It sees each request, with its
// whole body, and no response; it can change headers, and no body.
//
// So it serves a chain only if no guard needs more ([guard.Chain.RequestsOnly]),
// and refuses a message that a guard edited: the original must not go on in its
// place. What servers answer passes unread.
//
// Law of the service: [check.allow] is the one place that makes an OK answer,
// and it is reached only with a decision of the chain that says Allow. Every
// error, panic and deadline ends in a refusal or in a gRPC error, on which
// Envoy refuses by itself as long as failure_mode_allow is false.
package extauthz

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
)

// Server is the ext_authz service.
type Server struct {
	authv3.UnimplementedAuthorizationServer
	source   gate.Source
	log      *slog.Logger
	settling sync.WaitGroup
}

// New returns a service that judges with the snapshots of source.
func New(source gate.Source, log *slog.Logger) *Server {
	return &Server{source: source, log: log}
}

// Register adds the service to g.
func (s *Server) Register(g *grpc.Server) { authv3.RegisterAuthorizationServer(g, s) }

// settleTime is how long guards may take to settle an exchange.
const settleTime = 2 * time.Second

// Check judges one HTTP request. The exchange settles when it returns, once and
// in the background, with what is known by then: a refusal ended it (Refused);
// Envoy gave up before there was an answer (Reset); the service failed (Broken);
// or the request was released, which counts as Completed and Reached, with
// status 0, because what becomes of it is never told to this service. A guard
// that returns what was not used cannot count on more here.
//
// What Envoy says to be about an egress listener goes to [Server.checkEgress].
func (s *Server) Check(ctx context.Context, req *authv3.CheckRequest) (resp *authv3.CheckResponse, err error) {
	if listener, ok := envoymap.EgressListener(ctx); ok {
		return s.checkEgress(ctx, listener, req.GetAttributes())
	}
	c := &check{
		snap: s.source.Current(),
		x:    guard.Exchange{ID: gate.NewID(), Started: time.Now(), Original: true, Unseen: true},
		out:  guard.Outcome{Ending: guard.Broken},
	}
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("ext_authz: panic", "panic", p, "stack", string(debug.Stack()), "exchange", c.x.ID)
			c.out.Ending, c.out.Reached = guard.Broken, false
			resp, err = nil, status.Error(codes.Internal, "panic")
		}
		s.settle(ctx, c)
	}()
	resp = c.run(ctx, req.GetAttributes())
	if ctx.Err() != nil { // nobody reads the answer any more, so it lets nothing pass
		c.out.Ending, c.out.Reached = guard.Reset, false
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return resp, nil
}

// settle tells the guards how the exchange ended, without holding up the answer.
func (s *Server) settle(ctx context.Context, c *check) {
	if c.public {
		return
	}
	c.x.Headers = nil // they belong to gRPC's message
	c.out.Elapsed = time.Since(c.x.Started)
	s.settling.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
		if err := c.snap.Chain.Settle(ctx, &c.x, c.out); err != nil {
			s.log.Error("ext_authz: settle", "err", err, "exchange", c.x.ID)
		}
	})
}

// Wait returns when every exchange has settled. Call it after the gRPC server
// stopped, before what guards depend on closes.
func (s *Server) Wait() { s.settling.Wait() }
