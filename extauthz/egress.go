package extauthz

import (
	"context"
	"net/http"
	"runtime/debug"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/outbound"
)

// checkEgress judges a request or tunnel of a workload. Its answer names the address
// to connect to.
func (s *Server) checkEgress(ctx context.Context, listener string, a *authv3.AttributeContext) (resp *authv3.CheckResponse, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("ext_authz: panic", "panic", p, "stack", string(debug.Stack()), "listener", listener)
			resp, err = nil, status.Error(codes.Internal, "panic")
		}
	}()
	judge := s.source.Current().Outbound
	if judge == nil {
		return nil, status.Error(codes.FailedPrecondition, "no egress listener is configured")
	}
	h := envoymap.CheckHeaders(a.GetRequest().GetHttp())
	x := &outbound.Exchange{
		ID: gate.NewID(), Source: envoymap.CheckSource(a), Headers: h,
		Request: outbound.Request{
			Listener: listener, Peer: envoymap.CheckPeer(a), Method: h.Value(":method"), Scheme: h.Value(":scheme"),
			Authority: h.Value(":authority"), Protocol: h.Value(":protocol"), Upgrade: h.Value("upgrade"), Trace: h.Value("traceparent"),
		},
	}
	answer := judge.Decide(ctx, x)
	if ctx.Err() != nil { // nobody reads the answer any more
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if !answer.Allow {
		return refuseEgress(answer.Reason), nil
	}
	return &authv3.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			// Without a change of headers Envoy would not choose the route anew.
			HeadersToRemove: []string{"proxy-authorization"},
		}},
		DynamicMetadata: envoymap.Wayout(x.ID, x.Peer, &answer.Out),
	}, nil
}

func refuseEgress(reason guard.Reason) *authv3.CheckResponse {
	code, text := http.StatusServiceUnavailable, "The gateway could not judge this destination and therefore does not lead there. Try again later."
	switch reason {
	case guard.EgressDenied:
		code, text = http.StatusForbidden, "This workload may not go there. Ask for the destination to be added to what it is allowed."
	case guard.IdentityRevoked:
		code, text = http.StatusForbidden, "This workload's identity was revoked. Ask whoever operates this gateway."
	case guard.UnknownWorkload:
		code, text = http.StatusForbidden, "This connection belongs to no workload that may go out. Ask whoever operates this gateway."
	}
	return &authv3.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.PermissionDenied), Message: envoymap.DetailsPrefix + string(reason)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(code)}, Body: string(envoymap.EgressRefusal(reason, text)),
			Headers: options([]gate.Header{{Name: "content-type", Value: "application/json"}, {Name: envoymap.ReasonHeader, Value: string(reason)}}),
		}},
	}
}
