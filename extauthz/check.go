package extauthz

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// check is one HTTP request on its way through the chain.
type check struct {
	snap *gate.Snapshot
	x    guard.Exchange
	out  guard.Outcome

	headers    envoymap.Headers
	srv        *registry.Server
	named      bool   // the operator's route names the server
	version    string // that the session lives on
	body       []byte
	eventsOnly bool
	public     bool // no exchange that is judged
}

// run judges the request and returns the answer for Envoy.
func (c *check) run(ctx context.Context, a *authv3.AttributeContext) *authv3.CheckResponse {
	r := a.GetRequest().GetHttp()
	c.headers = envoymap.CheckHeaders(r)
	c.x.Headers = c.headers
	c.x.Source = envoymap.CheckSource(a)
	c.x.Verb = c.headers.Value(":method")
	c.x.Path, _, _ = strings.Cut(c.headers.Value(":path"), "?")
	if c.snap.Tracer != nil {
		c.snap.Tracer.Begin(&c.x, envoymap.Ambient(ctx, c.headers, false))
		ctx = guard.WithTrace(ctx, &c.x.Trace)
	}
	c.eventsOnly = gate.EventsOnly(c.headers)
	body, f := wholeBody(c.headers, r)
	c.body, c.out.BytesIn = body, int64(len(body))
	if c.snap.RequestsOnly != nil {
		return c.rejectEarly(ctx, fault(guard.GuardError, "ext_authz cannot serve this configuration: "+c.snap.RequestsOnly.Error()))
	}
	if f != nil {
		return c.rejectEarly(ctx, f)
	}
	if doc, ok := c.snap.Document(c.x.Verb, c.x.Path); ok {
		c.public = true
		return document(doc)
	}
	name := envoymap.ServerOfCheck(ctx, a)
	c.named = name != ""
	if !c.named {
		name = gate.ServerOf(c.x.Path)
	}
	if c.srv = c.snap.Begin(&c.x, name); c.srv == nil {
		return c.rejectEarly(ctx, fault(guard.UnknownServer, "no registered server for path or route"))
	}
	if d := c.snap.Chain.Admit(ctx, &c.x); d.Action != guard.Allow {
		if c.snap.Chain.Info(d.Reason).Status != http.StatusUnauthorized { // nothing is read for strangers
			c.salvage()
		}
		return c.refuse(&d)
	}
	session, n := c.headers.Get(mcp.HeaderSession)
	if n > 1 {
		return c.rejectEarly(ctx, fault(guard.InvalidMessage, "several mcp-session-id headers"))
	}
	if !c.pin(session) {
		return c.unknownSession(ctx)
	}
	msg, f := c.message()
	if f != nil {
		return c.reject(ctx, nil, f)
	}
	return c.judge(ctx, &msg)
}

// pin notes the session as the upstream knows it, and the version that it lives
// on. Only sessions that began through ext_proc are marked with one: marking
// takes the server's answer.
func (c *check) pin(session string) (ok bool) {
	if session == "" || c.named { // routes of the operator's own know no version header
		c.x.Session = session
		return true
	}
	c.version, c.x.Session, ok = gate.Untag(c.srv, session)
	return ok
}

// message reads the client's message, or makes the one that a bodyless request
// stands for.
func (c *check) message() (mcp.Message, *mcp.Fault) {
	if _, n := c.headers.Get("upgrade"); n > 0 {
		// Envoy sends no body of such a request, and none of what flows afterwards.
		return mcp.Message{}, fault(guard.WrongTransport, "an upgrade")
	}
	var method string
	switch c.x.Verb {
	case http.MethodPost:
		if len(c.body) == 0 {
			return mcp.Message{}, fault(guard.Malformed, "POST without a body; with_request_body must be set")
		}
		if f := mcp.CheckMedia(c.headers); f != nil {
			c.salvage()
			return mcp.Message{}, f
		}
		if len(c.body) > c.snap.Limits.Body {
			return mcp.Message{}, fault(guard.TooLarge, "body is over limits.body")
		}
		return c.snap.Read(&c.x, c.srv, c.body)
	case http.MethodGet:
		method = mcp.MethodListen
	case http.MethodDelete:
		method = mcp.MethodClose
	default:
		return mcp.Message{}, fault(guard.WrongTransport, "HTTP method is not POST, GET or DELETE")
	}
	if size, n := c.headers.Get("content-length"); len(c.body) > 0 || n > 0 && size != "0" {
		return mcp.Message{}, fault(guard.InvalidMessage, "GET or DELETE with a body")
	}
	return c.snap.Transport(&c.x, c.srv, method)
}

// judge has the message judged, and carries out what that asks for.
func (c *check) judge(ctx context.Context, msg *mcp.Message) *authv3.CheckResponse {
	d := c.snap.Chain.Run(ctx, &c.x, msg)
	if d.Action != guard.Allow {
		return c.refuse(&d)
	}
	duties, f := gate.Duties(d.Obligations, mcp.ToServer)
	if f != nil {
		return c.reject(ctx, msg, f)
	}
	return c.allow(duties)
}

// idBody is the largest body that is read only to learn the id which a refusal
// has to carry.
const idBody = 64 << 10

func (c *check) salvage() {
	if c.x.Asked.ID == nil && c.x.Verb == http.MethodPost && len(c.body) > 0 && len(c.body) <= idBody {
		c.snap.Salvage(&c.x, c.body)
	}
}

func (c *check) rejectEarly(ctx context.Context, f *mcp.Fault) *authv3.CheckResponse {
	d := c.snap.Chain.Reject(ctx, &c.x, nil, mcp.ToServer, f)
	c.salvage()
	return c.refuse(&d)
}

func (c *check) reject(ctx context.Context, msg *mcp.Message, f *mcp.Fault) *authv3.CheckResponse {
	d := c.snap.Chain.Reject(ctx, &c.x, msg, mcp.ToServer, f)
	return c.refuse(&d)
}

// fault is a Fault for one of the host's own reasons, whose status and code
// come from the reason.
func fault(r guard.Reason, detail string) *mcp.Fault {
	return &mcp.Fault{Reason: string(r), Detail: detail, Offset: -1}
}

// wholeBody returns the request's body if it is certain that these bytes, all
// of them and no others, go to the server. Envoy may have been told to cut it
// off (allow_partial_message) or to send it as text (without pack_as_bytes), in
// which it replaces what is not UTF-8 by exclamation marks. A body whose length
// the client did not declare is refused, since Envoy calls a body whole that
// fills max_request_bytes to the last byte, whatever follows.
func wholeBody(h envoymap.Headers, r *authv3.AttributeContext_HttpRequest) ([]byte, *mcp.Fault) {
	body := r.GetRawBody()
	if text := r.GetBody(); text != "" {
		if len(body) > 0 {
			return nil, fault(guard.InvalidMessage, "two bodies")
		}
		if strings.IndexByte(text, '!') >= 0 {
			return nil, fault(guard.GuardError, "the body came as text that may not be what the client sent; set with_request_body.pack_as_bytes: true")
		}
		body = []byte(text)
	}
	if cut, n := h.Get(envoymap.PartialHeader); n > 1 || n == 1 && cut != "false" {
		return nil, fault(guard.TooLarge, "Envoy sent only a part of the body; set with_request_body.allow_partial_message: false")
	}
	if len(body) == 0 {
		return nil, nil // whether there should be one is for the HTTP method to say
	}
	value, n := h.Get("content-length")
	switch size, err := strconv.ParseUint(value, 10, 63); {
	case n == 0:
		f := fault(guard.InvalidMessage, "no content-length, so a part of the body could not be told from the whole")
		f.Status = http.StatusLengthRequired
		return nil, f
	case n > 1 || err != nil:
		return nil, fault(guard.InvalidMessage, "content-length is no single number")
	case size != uint64(len(body)):
		return nil, fault(guard.InvalidMessage, "content-length is "+value+", and the body that came has "+strconv.Itoa(len(body))+" bytes")
	}
	return body, nil
}
