package extproc

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// requestHeaders decides what headers alone can decide, so that a request that
// has no chance is refused before its body is buffered.
func (m *machine) requestHeaders(ctx context.Context, msg *extprocv3.HttpHeaders) {
	h := envoymap.NewHeaders(msg.Headers)
	m.x.Headers = h
	m.x.Verb = h.Value(":method")
	m.x.Path, _, _ = strings.Cut(h.Value(":path"), "?")
	name := m.server
	if name == "" {
		name = gate.ServerOf(m.x.Path)
	}
	if m.srv = m.snap.Begin(&m.x, name); m.srv == nil {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.UnknownServer, "no registered server for path or route"))
		return
	}
	session, n := h.Get(mcp.HeaderSession)
	if n > 1 {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.InvalidMessage, "several mcp-session-id headers"))
		return
	}
	m.x.Session = session
	if d := m.snap.Chain.Admit(ctx, &m.x); d.Action != guard.Allow {
		m.refuse(&d)
		return
	}
	switch m.x.Verb {
	case http.MethodPost:
		m.post(ctx, h, msg.EndOfStream)
	case http.MethodGet:
		m.bodyless(ctx, h, msg.EndOfStream, mcp.MethodListen)
	case http.MethodDelete:
		m.bodyless(ctx, h, msg.EndOfStream, mcp.MethodClose)
	default:
		m.reject(ctx, nil, mcp.ToServer, fault(guard.WrongTransport, "HTTP method is not POST, GET or DELETE"))
	}
}

func (m *machine) post(ctx context.Context, h envoymap.Headers, end bool) {
	if end {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.Malformed, "POST without a body"))
		return
	}
	if f := mcp.CheckMedia(h); f != nil {
		m.reject(ctx, nil, mcp.ToServer, f)
		return
	}
	length, n := h.Get("content-length")
	m.hasLength = n > 0
	if size, err := strconv.ParseInt(length, 10, 64); n == 1 && err == nil && size > int64(m.snap.Limits.Body) {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.TooLarge, "content-length is over the limit"))
		return
	}
	m.phase = body
	m.out = append(m.out, requestHeaders(h.Strip(), nil))
}

// bodyless judges a GET or DELETE as the message it stands for.
func (m *machine) bodyless(ctx context.Context, h envoymap.Headers, end bool, method string) {
	if !end {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.InvalidMessage, "GET or DELETE with a body"))
		return
	}
	version, n := h.Get(mcp.HeaderVersion)
	rev := mcp.ParseRevision(version)
	switch {
	case n > 1:
		m.reject(ctx, nil, mcp.ToServer, fault(guard.HeaderMismatch, "several mcp-protocol-version headers"))
		return
	case n == 1 && rev == mcp.RevisionUnknown:
		m.reject(ctx, nil, mcp.ToServer, fault(guard.UnsupportedVersion, "unknown protocol version"))
		return
	case rev.Modern():
		m.reject(ctx, nil, mcp.ToServer, fault(guard.WrongTransport, "the protocol revision has no GET and no DELETE"))
		return
	case n == 0:
		rev = mcp.R20250326
	}
	m.x.Revision = rev
	msg := mcp.TransportMessage(method)
	m.x.Asked = gate.Ask(&msg)
	d := m.snap.Chain.Run(ctx, &m.x, &msg)
	if d.Action != guard.Allow {
		m.refuse(&d)
		return
	}
	m.out = append(m.out, requestHeaders(h.Strip(), headerDuties(d.Obligations)))
	m.release()
}

// requestBody judges the client's message, complete.
func (m *machine) requestBody(ctx context.Context, b *extprocv3.HttpBody) {
	m.in = int64(len(b.Body))
	if len(b.Body) > m.snap.Limits.Body {
		m.reject(ctx, nil, mcp.ToServer, fault(guard.TooLarge, "body is over limits.body"))
		return
	}
	msg, f := m.snap.Read(&m.x, m.srv, b.Body)
	if f != nil {
		m.reject(ctx, nil, mcp.ToServer, f)
		return
	}
	d := m.snap.Chain.Run(ctx, &m.x, &msg)
	if d.Action != guard.Allow {
		m.refuse(&d)
		return
	}
	common := &extprocv3.CommonResponse{}
	set := headerDuties(d.Obligations)
	if d.Edited {
		common.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: d.Message.Raw}}
		if m.hasLength { // Envoy answers 500 when the length does not fit
			set = append(set, header("content-length", strconv.Itoa(len(d.Message.Raw))))
		}
	}
	if len(set) > 0 {
		common.HeaderMutation = &extprocv3.HeaderMutation{SetHeaders: set}
	}
	r := requestBody(common)
	r.DynamicMetadata = envoymap.Metadata(m.x.Asked.ID, m.x.Asked.Method, m.x.Server.Name)
	m.out = append(m.out, r)
	m.release()
}

// release notes that the request goes upstream. The client's headers belong to
// Envoy's message and are gone from here on.
func (m *machine) release() {
	m.x.Headers = nil
	m.reached = true
	m.phase = waiting
}

func headerDuties(duties []guard.Obligation) []*corev3.HeaderValueOption {
	var set []*corev3.HeaderValueOption
	for _, o := range duties {
		if o.Kind == guard.SetHeader {
			set = append(set, header(o.Name, o.Value))
		}
	}
	return set
}

// fault is a Fault for one of the host's own reasons, whose status and code
// come from the reason.
func fault(r guard.Reason, detail string) *mcp.Fault {
	return &mcp.Fault{Reason: string(r), Detail: detail, Offset: -1}
}
