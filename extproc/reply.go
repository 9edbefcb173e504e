package extproc

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// conclude judges a complete reply that is no event stream.
func (m *machine) conclude(ctx context.Context, b []byte) {
	switch {
	case m.status >= http.StatusBadRequest:
		m.upstreamError(ctx, b)
	case m.x.Asked.Kind == mcp.Request:
		m.result(ctx, b)
	case m.status < 200 || m.status >= 300:
		// A redirect would lead the client round the gateway.
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "upstream answered "+strconv.Itoa(m.status)))
	case m.listens():
		f := fault(guard.UpstreamBadReply, "reply to GET is no event stream")
		f.Status = http.StatusMethodNotAllowed // clients take it for "no stream of that kind here"
		m.reject(ctx, nil, mcp.ToClient, f)
	default:
		m.acknowledge()
	}
}

// result judges the reply to a request.
func (m *machine) result(ctx context.Context, b []byte) {
	if m.status != http.StatusOK || m.media != mediaJSON || len(b) == 0 {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "reply to a request is neither JSON nor an event stream"))
		return
	}
	msg, f := m.read(b)
	switch {
	case f != nil:
		m.reject(ctx, nil, mcp.ToClient, badReply(f))
	case !msg.IsResponse() || !mcp.SameID(msg.ID, m.x.Asked.ID):
		m.reject(ctx, &msg, mcp.ToClient, fault(guard.UpstreamBadReply, "reply does not answer the request"))
	default:
		m.judgeReply(ctx, &msg)
	}
}

// read decodes a reply. An error without id, which a server gives when it
// could not read the request's, becomes the answer to the request: clients
// cannot match it otherwise.
func (m *machine) read(b []byte) (mcp.Message, *mcp.Fault) {
	msg, f := m.snap.Decoder.Decode(mcp.ToClient, b)
	if f != nil || msg.Kind != mcp.Failure || len(msg.ID) > 0 || m.x.Asked.Kind != mcp.Request {
		return msg, f
	}
	own := append([]byte(`{"jsonrpc":"2.0","id":`), m.x.Asked.ID...)
	own = append(append(append(own, `,"error":`...), msg.Error...), '}')
	return m.snap.Decoder.Decode(mcp.ToClient, own)
}

// judgeReply has a decoded reply judged and releases the held response.
func (m *machine) judgeReply(ctx context.Context, msg *mcp.Message) {
	m.noteReply(msg)
	d := m.snap.Chain.Run(ctx, &m.x, msg)
	if d.Action != guard.Allow {
		m.refuse(&d)
		return
	}
	if _, f := gate.Duties(d.Obligations, mcp.ToClient); f != nil {
		m.reject(ctx, msg, mcp.ToClient, f)
		return
	}
	m.forward(d.Message.Raw)
}

// noteReply notes what the server said to the client's request.
func (m *machine) noteReply(msg *mcp.Message) {
	if msg.IsResponse() && m.x.Asked.Kind == mcp.Request {
		m.replied = guard.ReplyOf(msg)
	}
}

// upstreamError handles an error status. Clients need a JSON-RPC error with
// their own id there; anything else that an upstream says is replaced, since
// nothing in it was judged.
func (m *machine) upstreamError(ctx context.Context, b []byte) {
	switch m.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		// These would send the client after credentials that the gateway,
		// not the client, has to bring.
		f := fault(guard.UpstreamUnavailable, "upstream answered "+strconv.Itoa(m.status)+" to the gateway")
		m.reject(ctx, nil, mcp.ToClient, f)
		return
	}
	msg, f := m.read(b)
	asked := m.x.Asked.Kind == mcp.Request
	switch {
	case f == nil && msg.Kind == mcp.Failure && (!asked || mcp.SameID(msg.ID, m.x.Asked.ID)):
		m.judgeReply(ctx, &msg)
	case m.status == http.StatusNotFound && m.x.Session != "":
		m.unknownSession(ctx, mcp.ToClient, "upstream answered 404 to a session")
	case asked:
		m.reject(ctx, nil, mcp.ToClient, m.bareError())
	default:
		m.acknowledge() // the status says it all
	}
}

// bareError puts an error status into JSON-RPC.
func (m *machine) bareError() *mcp.Fault {
	f := fault(guard.UpstreamUnavailable, "upstream answered "+strconv.Itoa(m.status)+" without a JSON-RPC error")
	if m.status == http.StatusGatewayTimeout {
		f.Reason = string(guard.UpstreamTimeout)
	}
	f.Status = m.status
	if m.x.Asked.Method == "server/discover" && m.status < 500 {
		// A server of the legacy era, as clients of both eras find out: they
		// begin a session next.
		f.Code = mcp.CodeMethodNotFound
	}
	return f
}

// acknowledge passes the status of what has no JSON-RPC answer: notifications,
// responses, GET and DELETE. A body would reach the client unjudged.
func (m *machine) acknowledge() {
	if !m.empty {
		m.change.remove = append(m.change.remove, "content-type")
		m.change.set = slices.DeleteFunc(m.change.set, func(h gate.Header) bool { return h.Name == "content-type" })
		if m.status == http.StatusOK && m.x.Asked.Kind != mcp.Transport {
			m.change.add(":status", "202")
			m.status = http.StatusAccepted
		}
	}
	m.forward(nil)
}

// forward releases the held response headers with b as the body, in pieces of
// a size that Envoy likes.
func (m *machine) forward(b []byte) {
	if len(b) > 0 && m.media != mediaJSON {
		m.change.add("content-type", mediaJSON)
	}
	m.say(m.answer.responseHeaders(m.change))
	m.end(guard.Completed)
	if len(b) > 0 {
		m.messages++
	}
	if m.empty {
		m.phase = done
		return
	}
	m.emit(b, true)
}

// emit sends b, and the end of the response with last.
func (m *machine) emit(b []byte, last bool) {
	m.sent += int64(len(b))
	for len(b) > maxChunk {
		m.say(m.answer.chunk(b[:maxChunk], false))
		b = b[maxChunk:]
	}
	if len(b) > 0 || last {
		r := m.answer.chunk(b, last)
		if len(b) == 0 && m.last != nil {
			r = m.last // Envoy takes a body only for one that came
		}
		if m.untold {
			r.DynamicMetadata, m.untold = m.facts(m.why), false
		}
		m.say(r)
	}
	if last {
		m.phase = done
	}
}

// badReply keeps the decoder's detail; to the client it is the upstream's fault.
func badReply(f *mcp.Fault) *mcp.Fault {
	reason := guard.UpstreamBadReply
	if f.Reason == mcp.ReasonTooLarge {
		reason = guard.UpstreamTooLarge
	}
	return fault(reason, f.Detail)
}
