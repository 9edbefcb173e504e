package extauthz

import (
	"context"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// allow lets the request go, with its headers cleaned. Only judge calls it.
func (c *check) allow(duties []gate.Header) *authv3.CheckResponse {
	remove := c.headers.Strip()
	var set []gate.Header
	if media := c.headers.Value("content-type"); media != "" && media != "application/json" {
		set = append(set, gate.Header{Name: "content-type", Value: "application/json"}) // spelled as the upstream surely reads it
	}
	if c.version != "" {
		set = append(set, gate.Header{Name: envoymap.VersionHeader, Value: c.version})
	}
	if c.x.Revision.Modern() {
		// The guards were not told of a session, since that era has none. A
		// server of both eras must not find one by it.
		if _, n := c.headers.Get(mcp.HeaderSession); n > 0 {
			remove = append(remove, mcp.HeaderSession)
		}
	} else {
		if c.version != "" {
			set = append(set, gate.Header{Name: mcp.HeaderSession, Value: c.x.Session})
		}
		// No server of a legacy revision checks them, and whoever reads them
		// instead of the body would see another call.
		for _, name := range []string{mcp.HeaderMethod, mcp.HeaderName} {
			if _, n := c.headers.Get(name); n > 0 {
				remove = append(remove, name)
			}
		}
	}
	_, states := c.headers.Get("tracestate")
	place, not := gate.Propagate(&c.x.Trace, states > 0)
	set, remove = append(set, place...), append(remove, not...)
	c.out.Ending, c.out.Reached = guard.Completed, true
	facts := envoymap.Facts{ID: c.x.Asked.ID, Method: c.x.Asked.Method, Server: c.x.Server.Name}
	return &authv3.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: options(append(set, duties...)), HeadersToRemove: remove,
			ResponseHeadersToAdd: options(c.x.ReplyFields()),
		}},
		DynamicMetadata: facts.Metadata(),
	}
}

// refuse answers in the place of the server. The refusal's metadata, like that
// of a request let go, stands in the filter's own namespace,
// envoy.filters.http.ext_authz.
func (c *check) refuse(d *guard.Decision) *authv3.CheckResponse {
	return c.reply(c.snap.Chain.Refusal(&c.x, d), d.Reason)
}

func (c *check) reply(r guard.Refusal, reason guard.Reason) *authv3.CheckResponse {
	a := gate.Render(r, c.eventsOnly)
	c.out.Ending, c.out.Reached, c.out.Reason = guard.Refused, false, reason
	c.out.Status, c.out.BytesOut = r.Status, int64(len(a.Body))
	facts := envoymap.Facts{ID: c.x.Asked.ID, Method: c.x.Asked.Method, Server: c.x.Server.Name, Reason: string(reason)}
	return &authv3.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.PermissionDenied), Message: envoymap.DetailsPrefix + string(reason)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(a.Status)}, Headers: options(a.Headers), Body: string(a.Body),
		}},
		DynamicMetadata: facts.Metadata(),
	}
}

// document answers with a public JSON document, which pages of any origin may
// read. ext_authz has no other way to answer by itself than to deny.
func document(b []byte) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.PermissionDenied), Message: envoymap.DetailsPrefix + "metadata"},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_OK}, Body: string(b),
			Headers: options([]gate.Header{
				{Name: "content-type", Value: "application/json"}, {Name: "cache-control", Value: "max-age=300"}, {Name: "access-control-allow-origin", Value: "*"},
			}),
		}},
	}
}

// unknownSession says that a session is gone: 404 without a body, because
// several clients recognise it only where the body is no JSON-RPC error.
func (c *check) unknownSession(ctx context.Context) *authv3.CheckResponse {
	d := c.snap.Chain.Reject(ctx, &c.x, nil, mcp.ToServer, fault(guard.UnknownSession, "the session's version is not registered any more"))
	r := c.snap.Chain.Refusal(&c.x, &d)
	r.Body = nil
	return c.reply(r, d.Reason)
}

// options uses plain values: ext_authz ignores raw ones.
func options(set []gate.Header) []*corev3.HeaderValueOption {
	out := make([]*corev3.HeaderValueOption, len(set))
	for i, h := range set {
		out[i] = &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.Name, Value: h.Value},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	return out
}
