package extproc

import (
	"context"
	"mime"
	"net/http"
	"strconv"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

func (m *machine) responseHeaders(ctx context.Context, msg *extprocv3.HttpHeaders) {
	h := envoymap.NewHeaders(msg.Headers)
	m.status, _ = strconv.Atoi(h.Value(":status"))
	if enc, n := h.Get("content-encoding"); n > 1 || n == 1 && enc != "identity" && enc != "" {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "encoded reply"))
		return
	}
	contentType, n := h.Get("content-type")
	if n > 1 {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "several content-type headers"))
		return
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	if cs := params["charset"]; cs != "" && !isUTF8(cs) && m.status < 300 {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "charset of the reply is not UTF-8"))
		return
	}
	m.reply = reply{contentType: media, events: media == "text/event-stream" && m.status == http.StatusOK}
	switch {
	case msg.EndOfStream:
		m.conclude(ctx, nil)
	case m.reply.events:
		m.splitter = sse.NewSplitter(m.snap.Limits.Event)
		m.phase = events
		// Proxies behind us must not collect events.
		m.out = append(m.out, passHeaders([]headerPair{{"x-accel-buffering", "no"}, {"cache-control", "no-store"}}))
	default:
		m.phase = holding
	}
}

// hold collects a body that is judged as a whole.
func (m *machine) hold(ctx context.Context, b []byte, end bool) {
	if len(m.held)+len(b) > m.snap.Limits.Response {
		m.held = nil
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamTooLarge, "reply is over limits.response"))
		return
	}
	if m.held == nil && end {
		m.conclude(ctx, b) // one piece: no copy
		return
	}
	m.held = append(m.held, b...)
	if end {
		m.conclude(ctx, m.held)
	}
}

// conclude judges a complete reply that is no event stream.
func (m *machine) conclude(ctx context.Context, b []byte) {
	switch {
	case m.x.Asked.Kind == mcp.Request && m.status >= http.StatusBadRequest:
		m.upstreamError(ctx, b)
	case m.x.Asked.Kind == mcp.Request:
		m.result(ctx, b)
	default:
		m.acknowledge(ctx, b)
	}
}

// result judges the reply to a request.
func (m *machine) result(ctx context.Context, b []byte) {
	if m.reply.contentType != "application/json" || len(b) == 0 {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "reply to a request is neither JSON nor an event stream"))
		return
	}
	msg, f := m.snap.Decoder.Decode(mcp.ToClient, b)
	switch {
	case f != nil:
		m.reject(ctx, nil, mcp.ToClient, badReply(f))
		return
	case !msg.IsResponse() || !mcp.SameID(msg.ID, m.x.Asked.ID):
		m.reject(ctx, &msg, mcp.ToClient, fault(guard.UpstreamBadReply, "reply does not answer the request"))
		return
	}
	m.judgeReply(ctx, &msg)
}

// judgeReply has a decoded reply judged and releases the held response.
func (m *machine) judgeReply(ctx context.Context, msg *mcp.Message) {
	d := m.snap.Chain.Run(ctx, &m.x, msg)
	if d.Action != guard.Allow {
		m.refuse(&d)
		return
	}
	m.forward(d.Message.Raw)
}

// upstreamError handles an error status that answers a request. Clients need a
// JSON-RPC error with their own id there; anything else an upstream says is
// replaced, since nothing in it was judged.
func (m *machine) upstreamError(ctx context.Context, b []byte) {
	if m.status == http.StatusUnauthorized || m.status == http.StatusForbidden {
		// These would send the client after credentials that the gateway,
		// not the client, has to bring.
		f := fault(guard.UpstreamUnavailable, "upstream answered "+strconv.Itoa(m.status)+" to the gateway")
		m.reject(ctx, nil, mcp.ToClient, f)
		return
	}
	msg, f := m.snap.Decoder.Decode(mcp.ToClient, b)
	if f == nil && msg.Kind == mcp.Failure && len(msg.ID) == 0 {
		own := append([]byte(`{"jsonrpc":"2.0","id":`), m.x.Asked.ID...)
		own = append(append(append(own, `,"error":`...), msg.Error...), '}')
		msg, f = m.snap.Decoder.Decode(mcp.ToClient, own)
	}
	if f == nil && msg.Kind == mcp.Failure && mcp.SameID(msg.ID, m.x.Asked.ID) {
		m.judgeReply(ctx, &msg)
		return
	}
	reason := guard.UpstreamUnavailable
	if m.status == http.StatusGatewayTimeout {
		reason = guard.UpstreamTimeout
	}
	own := fault(reason, "upstream answered "+strconv.Itoa(m.status)+" without a JSON-RPC error")
	own.Status = m.status
	m.reject(ctx, nil, mcp.ToClient, own)
}

// acknowledge handles the reply to what expects none: notifications, responses,
// GET and DELETE. A body passes only if it is a judged message.
func (m *machine) acknowledge(ctx context.Context, b []byte) {
	if len(b) > 0 {
		if msg, f := m.snap.Decoder.Decode(mcp.ToClient, b); f == nil && msg.Kind == mcp.Failure {
			m.judgeReply(ctx, &msg)
			return
		}
	}
	m.forward(nil)
}

// forward releases the held response headers with b as the body, in pieces of
// a size that Envoy likes.
func (m *machine) forward(b []byte) {
	m.out = append(m.out, passHeaders(nil))
	for len(b) > maxChunk {
		m.out = append(m.out, chunk(b[:maxChunk], false))
		m.sent += maxChunk
		b = b[maxChunk:]
	}
	m.out = append(m.out, chunk(b, true))
	m.sent += int64(len(b))
	m.phase = done
	m.end(guard.Completed)
}

// late answers for an upstream that does not end its reply.
func (m *machine) late(ctx context.Context) {
	m.held = nil
	m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamTimeout, "reply not complete within limits.response_time"))
	m.ended = false
	m.end(guard.TimedOut)
}

// badReply keeps the decoder's detail; to the client it is the upstream's fault.
func badReply(f *mcp.Fault) *mcp.Fault {
	reason := guard.UpstreamBadReply
	if f.Reason == mcp.ReasonTooLarge {
		reason = guard.UpstreamTooLarge
	}
	return fault(reason, f.Detail)
}
