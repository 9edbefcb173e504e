package extproc

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// requestHeaders decides what headers alone can decide.
func (m *machine) requestHeaders(ctx context.Context, msg *extprocv3.HttpHeaders) {
	h := envoymap.NewHeaders(msg.Headers)
	m.x.Headers = h
	m.x.Verb = h.Value(":method")
	var query bool
	m.x.Path, _, query = strings.Cut(h.Value(":path"), "?")
	if doc, ok := m.snap.Document(m.x.Verb, m.x.Path); ok {
		m.say(document(doc))
		m.phase = done
		return
	}
	m.asked = true
	if m.snap.Tracer != nil {
		m.snap.Tracer.Begin(&m.x, envoymap.Ambient(ctx, h, m.wishes.Relayed))
		_, n := h.Get("tracestate")
		m.tracestate = n > 0
	}
	m.eventsOnly = gate.EventsOnly(h)
	if m.wishes.Log {
		if v := h.Value("traceparent"); isPlace(v) {
			m.parent = v[:guard.TraceparentLen]
		}
	}
	name := m.server
	if name == "" && !query { // our own routes match the whole path, so a query leads nowhere
		name = gate.ServerOf(m.x.Path)
	}
	if m.srv = m.snap.Begin(&m.x, name); m.srv == nil {
		m.rejectEarly(ctx, h, msg.EndOfStream, fault(guard.UnknownServer, "no registered server for path or route"))
		return
	}
	if d := m.snap.Chain.Admit(ctx, &m.x); d.Action != guard.Allow {
		m.refuseEarly(h, msg.EndOfStream, &d)
		return
	}
	session, n := h.Get(mcp.HeaderSession)
	if n > 1 {
		m.rejectEarly(ctx, h, msg.EndOfStream, fault(guard.InvalidMessage, "several mcp-session-id headers"))
		return
	}
	if !m.enter(session) {
		m.unknownSession(ctx, mcp.ToServer, "the session was not made for this caller, or its key is gone")
		return
	}
	version, ok := m.pin()
	if !ok {
		m.unknownSession(ctx, mcp.ToServer, "the session's version is not registered any more")
		return
	}
	if f := m.resume(h); f != nil {
		m.rejectEarly(ctx, h, msg.EndOfStream, f)
		return
	}
	switch m.x.Verb {
	case http.MethodPost:
		m.post(ctx, h, msg.EndOfStream, version)
	case http.MethodGet:
		m.bodyless(ctx, h, msg.EndOfStream, version, mcp.MethodListen)
	case http.MethodDelete:
		m.bodyless(ctx, h, msg.EndOfStream, version, mcp.MethodClose)
	default:
		m.reject(ctx, nil, mcp.ToServer, fault(guard.WrongTransport, "HTTP method is not POST, GET or DELETE"))
	}
}

// pin notes the session as the upstream knows it, and returns the version that
// it lives on, should the server have several.
func (m *machine) pin() (version string, ok bool) {
	if m.session.inner == "" || m.server != "" { // routes of the operator's own know no version header
		m.x.Session = m.session.inner
		return "", true
	}
	version, m.x.Session, ok = gate.Untag(m.srv, m.session.inner)
	if version != "" {
		m.x.Server.Version = version
	}
	return version, ok
}

// cleaned is what becomes of the request's headers on their way upstream.
func (m *machine) cleaned(h envoymap.Headers, version string) (c change, reroute bool) {
	c.remove = h.Strip()
	if m.snap.Tracer == nil && h.Value("traceparent") == envoymap.NoPlace { // of an Envoy that has not heard yet that nothing is traced any more
		c.remove = append(c.remove, "traceparent")
	}
	if media := h.Value("content-type"); media != "" && media != mediaJSON {
		c.add("content-type", mediaJSON) // spelled as the upstream surely reads it
	}
	if version != "" || m.x.Session != m.session.outer {
		c.add(mcp.HeaderSession, m.x.Session)
	}
	if version != "" {
		c.add(envoymap.VersionHeader, version)
	}
	if m.since != "" {
		c.add(headerLastEvent, m.since)
	}
	return c, version != ""
}

func (m *machine) post(ctx context.Context, h envoymap.Headers, end bool, version string) {
	if end {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.Malformed, "POST without a body"))
		return
	}
	if f := mcp.CheckMedia(h); f != nil {
		m.rejectEarly(ctx, h, end, f)
		return
	}
	size, n := contentLength(h)
	if size > int64(m.snap.Limits.Body) {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.TooLarge, "content-length is over the limit"))
		return
	}
	m.length = n > 0
	_, methods := h.Get(mcp.HeaderMethod)
	_, names := h.Get(mcp.HeaderName)
	m.named = methods+names > 0
	m.phase = body
	m.say(m.answer.requestHeaders(m.cleaned(h, version)))
}

// bodyless judges a GET or DELETE as the message it stands for.
func (m *machine) bodyless(ctx context.Context, h envoymap.Headers, end bool, version, method string) {
	if !end {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.InvalidMessage, "GET or DELETE with a body"))
		return
	}
	msg, f := m.snap.Transport(&m.x, m.srv, method)
	if f != nil {
		m.reject(ctx, nil, mcp.ToServer, f)
		return
	}
	set, ok := m.judge(ctx, &msg)
	if !ok {
		return
	}
	c, reroute := m.cleaned(h, version)
	c.set = append(c.set, set.duties...)
	m.propagate(&c)
	m.say(m.answer.requestHeaders(c, reroute))
	m.release()
}

// requestBody judges the client's message, complete.
func (m *machine) requestBody(ctx context.Context, b *extprocv3.HttpBody) {
	m.in = int64(len(b.Body))
	switch {
	case m.refusal != nil:
		m.snap.Salvage(&m.x, b.Body)
		m.refuse(m.refusal)
		return
	case !b.EndOfStream: // trailers follow, which nobody would look at
		m.snap.Salvage(&m.x, b.Body)
		m.reject(ctx, nil, mcp.ToServer, fault(guard.InvalidMessage, "request with trailers"))
		return
	case len(b.Body) > m.snap.Limits.Body:
		m.reject(ctx, nil, mcp.ToServer, fault(guard.TooLarge, "body is over limits.body"))
		return
	}
	session := m.x.Session != ""
	msg, f := m.snap.Read(&m.x, m.srv, b.Body)
	if f != nil {
		m.reject(ctx, nil, mcp.ToServer, f)
		return
	}
	allowed, ok := m.judge(ctx, &msg)
	if !ok {
		return
	}
	c := change{set: allowed.duties}
	var edited []byte
	if allowed.Edited {
		edited = allowed.Message.Raw
		if m.length { // Envoy answers 500 when the length does not fit
			c.add("content-length", strconv.Itoa(len(edited)))
		}
	}
	if m.named && !m.x.Revision.Modern() {
		// No server of a legacy revision checks them, and whoever reads them
		// instead of the body would see another call.
		c.remove = []string{mcp.HeaderMethod, mcp.HeaderName}
	}
	if session && m.x.Revision.Modern() {
		// The guards were not told of it, since that era has no sessions. A
		// server of both eras must not find one by it.
		c.remove = append(c.remove, mcp.HeaderSession)
	}
	if id := m.x.Asked.ID; m.wishes.Lean && envoymap.HeaderID(id) {
		c.add(envoymap.IDHeader, string(id))
	}
	m.propagate(&c)
	m.say(m.answer.requestBody(c, edited, m.facts("")))
	m.release()
}

// propagate tells the server its place in the trace, and Envoy's access log what
// went upstream.
func (m *machine) propagate(c *change) {
	if m.wishes.Log {
		c.add(envoymap.ExchangeHeader, m.x.ID)
		if s := m.x.Asked.Method; loggable(s) {
			c.add(envoymap.MethodHeader, s)
		}
		if s := m.x.Asked.InClear(); loggable(s) {
			c.add(envoymap.NameHeader, s)
		}
		if m.x.Trace.On() {
			c.add(envoymap.ParentHeader, string(m.x.Trace.AppendTraceparent(nil)))
		} else if m.parent != "" {
			c.add(envoymap.ParentHeader, m.parent)
		}
	}
	set, remove := gate.Propagate(&m.x.Trace, m.tracestate)
	c.set, c.remove = append(c.set, set...), append(c.remove, remove...)
}

// facts is the dynamic metadata about the exchange, nil where Envoy does not
// want any.
func (m *machine) facts(reason guard.Reason) *structpb.Struct {
	id := m.x.Asked.ID
	told := m.wishes.Lean && (reason != "" || len(id) == 0 || envoymap.HeaderID(id))
	if told && (!m.wishes.Log || reason == "") {
		return nil
	}
	f := envoymap.Facts{ID: id, Method: m.x.Asked.Method, Server: m.x.Server.Name, Reason: string(reason)}
	if reason != "" {
		f.Exchange, f.Decision, f.Name = m.x.ID, m.verdict.String(), m.x.Asked.InClear()
		if m.x.Trace.On() {
			f.Trace = string(m.x.Trace.AppendID(nil))
		} else if m.parent != "" {
			f.Trace = m.parent[3:35]
		}
	}
	return envoymap.InNamespace(f.Metadata())
}

// isPlace reports whether a traceparent is well-formed.
func isPlace(traceparent string) bool {
	_, _, _, ok := guard.Traceparent(traceparent)
	return ok
}

// loggable reports whether s can be a header for the access log.
func loggable(s string) bool { return len(s) <= 128 && envoymap.HeaderID([]byte(s)) }

// allowed is a decision that lets the request go, and what it asks for.
type allowed struct {
	guard.Decision
	duties []gate.Header
}

// judge has the client's message judged, and refuses it if need be.
func (m *machine) judge(ctx context.Context, msg *mcp.Message) (allowed, bool) {
	d := m.snap.Chain.Run(ctx, &m.x, msg)
	if d.Action != guard.Allow {
		m.refuse(&d)
		return allowed{}, false
	}
	duties, f := gate.Duties(d.Obligations, mcp.ToServer)
	if f != nil {
		m.reject(ctx, msg, mcp.ToServer, f)
		return allowed{}, false
	}
	return allowed{d, duties}, true
}

// release notes that the request goes upstream. The client's headers belong to
// Envoy's message and are gone from here on.
func (m *machine) release() {
	m.x.Headers = nil
	m.reached = m.err == nil // otherwise Envoy was not told
	m.phase = waiting
	if m.blind {
		m.end(guard.Completed) // as far as anybody asked to know
	}
}

// contentLength returns the declared length, 0 when there is none, and how many
// headers declare one.
func contentLength(h envoymap.Headers) (size int64, n int) {
	value, n := h.Get("content-length")
	size, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		size = 0
	}
	return size, n
}
