package extproc

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

// pass lets a reply through that is no upstream's.
func (m *machine) pass(h *extprocv3.HttpHeaders) {
	m.phase = foreign
	if h.EndOfStream {
		m.phase = done
	}
	m.say(m.answer.responseHeaders(change{}))
}

// interrupted answers in place of a reply that came while the request's body was
// awaited. It is Envoy's own, to what is too long or too slow. Or it is an upstream's:
// an Envoy that was not told to send request trailers lets a request go that ends with
// them and has no body at all. The two look alike, so neither is passed on.
func (m *machine) interrupted(ctx context.Context, h *extprocv3.HttpHeaders) {
	if m.refusal != nil {
		m.refuse(m.refusal)
		return
	}
	status, _ := strconv.Atoi(envoymap.NewHeaders(h.Headers).Value(":status"))
	f := fault(guard.InvalidMessage, "an answer of "+strconv.Itoa(status)+" came before the request was read")
	switch {
	case status == http.StatusRequestEntityTooLarge:
		f = fault(guard.TooLarge, "Envoy found the body over its limit")
	case status >= http.StatusBadRequest:
		f.Status = status
	}
	m.reject(ctx, nil, mcp.ToServer, f)
}

// responseHeaders decides how the response will be read.
func (m *machine) responseHeaders(ctx context.Context, msg *extprocv3.HttpHeaders) {
	h := envoymap.NewHeaders(msg.Headers)
	m.status, _ = strconv.Atoi(h.Value(":status"))
	m.x.Upstream = m.status
	m.change.remove = h.Withhold()
	if !m.tag(h) {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "the session id is not visible ASCII, or too long to be bound to its caller"))
		return
	}
	m.change.set = append(m.change.set, m.x.ReplyFields()...)
	if m.blind {
		m.say(m.answer.responseHeaders(m.change))
		m.phase = done
		return
	}
	if why := m.readMedia(h); why != "" {
		m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamBadReply, why))
		return
	}
	if m.status >= http.StatusBadRequest {
		if after := h.Value("retry-after"); len(after) <= 32 {
			m.retry = after
		}
	}
	m.empty = msg.EndOfStream
	switch {
	case m.empty && m.streams():
		m.noEvents(ctx)
	case m.empty:
		m.conclude(ctx, nil)
	case m.streams():
		m.splitter = sse.NewSplitter(m.snap.Limits.Event)
		m.phase, m.x.Stream = events, true
		m.change.add("cache-control", "no-store")
		m.change.add("x-accel-buffering", "no") // proxies behind us must not collect events
		m.say(m.answer.responseHeaders(m.change))
	default:
		m.phase = holding
		if size, _ := contentLength(h); size > int64(m.snap.Limits.Response) {
			m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamTooLarge, "content-length is over limits.response"))
		}
	}
}

// readMedia notes the media type, and says why the body could not be read.
func (m *machine) readMedia(h envoymap.Headers) (why string) {
	if enc, n := h.Get("content-encoding"); n > 1 || n == 1 && enc != "" && !strings.EqualFold(enc, "identity") {
		return "encoded reply"
	}
	if _, n := h.Get(mcp.HeaderSession); n > 1 {
		return "several mcp-session-id headers"
	}
	raw, n := h.Get("content-type")
	switch {
	case n > 1:
		return "several content-type headers"
	case raw == mediaJSON, raw == mediaEvents:
		m.media = raw
		return ""
	}
	media, params, err := mime.ParseMediaType(raw)
	if err != nil {
		return "" // an unreadable type is no type
	}
	m.media = media
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") && m.status < 300 {
		return "charset of the reply is not UTF-8"
	}
	if media == mediaJSON || media == mediaEvents {
		m.change.add("content-type", media) // as it was read
	}
	return ""
}

// streams reports whether the response is an event stream that the client's
// message can have.
func (m *machine) streams() bool {
	return m.media == mediaEvents && m.status == http.StatusOK && (m.x.Asked.Kind == mcp.Request || m.listens())
}

// noEvents handles an event stream that ended before its first event. It is
// what servers make of a stream that they want the client to poll, where the
// client's revision has no event to prime it with; a request gets the same
// answer as on a stream that ends later.
func (m *machine) noEvents(ctx context.Context) {
	if m.listens() {
		m.x.Stream = true
		m.end(guard.Completed)
		m.say(m.answer.responseHeaders(m.change))
		m.phase = done
		return
	}
	f := fault(guard.UpstreamBadReply, "event stream ended without the response")
	f.Status = http.StatusOK
	m.eventsOnly = true // the upstream chose a stream
	m.reject(ctx, nil, mcp.ToClient, f)
}

// listens reports whether the request is a GET for the server's own messages.
func (m *machine) listens() bool { return m.x.Asked.Method == mcp.MethodListen }

// hold collects a body that is judged as a whole.
func (m *machine) hold(ctx context.Context, b []byte, end bool) {
	if len(m.held)+len(b) > m.snap.Limits.Response {
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

// late answers for an upstream that does not end its reply.
func (m *machine) late(ctx context.Context) {
	m.end(guard.TimedOut)
	m.reject(ctx, nil, mcp.ToClient, fault(guard.UpstreamTimeout, "reply not complete within limits.response_time"))
}
