package trace

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// point is a span of somebody else.
type point struct {
	trace [16]byte
	span  [8]byte
	ok    bool
}

func parse(traceparent string) (p point, sampled bool) {
	if traceparent == "" {
		return point{}, false
	}
	p.trace, p.span, sampled, p.ok = guard.Traceparent(traceparent)
	return p, sampled
}

// Begin implements gate.Tracer. Whether a trace is kept is decided by chance, by
// the proxy's where that makes spans: nothing that a client sends has a part in it.
func (r *Rules) Begin(x *guard.Exchange, a gate.Ambient) {
	rec := r.t.pool.Get().(*record)
	rec.reset()
	records.Set(x, rec)
	proxy, sampled := parse(a.Proxy)
	rec.header, _ = parse(a.Caller)
	switch {
	case a.Relayed:
		if sampled {
			rec.proxy = proxy
		}
	case proxy.ok: // an Envoy of the operator's own, which has joined the caller's trace or begun one
		rec.header = proxy
	}
	binary.NativeEndian.PutUint64(x.Trace.Span[:], rand.Uint64()|1) //nolint:gosec // an id is no secret, and the generator cannot be foretold
	chosen := sampled
	if !a.Relayed || !r.ProxyChooses {
		chosen = rand.Float64() < r.Sample //nolint:gosec // likewise
	}
	x.Trace.Kept = chosen && r.t.take(&r.t.chosen)
	rec.place(x)
}

// Read implements gate.Tracer.
func (r *Rules) Read(x *guard.Exchange, m *mcp.Message) {
	rec, _ := records.Get(x)
	meta := m.Meta()
	if rec == nil || meta == nil {
		return
	}
	told, ok := mcp.Member(meta, keyParent)
	if !ok {
		return
	}
	x.Trace.InBody = true
	if rec.body, _ = parse(plain(told)); !rec.body.ok {
		return
	}
	rec.place(x)
	if x.Trace.State.Header {
		return
	}
	if state, ok := mcp.Member(meta, keyState); ok {
		x.Trace.State.Body = plain(state)
	}
}

const (
	keyParent = "traceparent"
	keyState  = "tracestate"
	maxState  = 512 // bytes, W3C Trace Context, 3.3.1.5
)

// plain returns the text of a JSON string of ASCII without escapes, which is all
// that a header can be; "" for everything else.
func plain(lexeme json.RawMessage) string {
	if len(lexeme) < 2 || lexeme[0] != '"' || len(lexeme) > maxState+2 {
		return ""
	}
	s := lexeme[1 : len(lexeme)-1]
	for _, c := range s {
		if c < ' ' || c > '~' || c == '\\' {
			return ""
		}
	}
	return string(s)
}

// place finds where x belongs. What a message says of itself counts for it, and
// what its headers say for the HTTP request that carries it (OpenTelemetry's
// conventions for MCP): where both are of one trace, the request is part of the
// message's span, so that the exchange is below the request; where they are not,
// the exchange is in the message's trace, with a link to the other.
func (rec *record) place(x *guard.Exchange) {
	t := &x.Trace
	rec.link = point{}
	above := rec.header
	switch {
	case rec.body.ok && rec.header.ok && rec.body.trace != rec.header.trace:
		t.ID, t.Parent, t.State = rec.body.trace, rec.body.span, guard.State{}
		rec.link, rec.home = rec.header, rec.header
		if rec.proxy.ok {
			rec.link.span = rec.proxy.span
		}
		return
	case rec.body.ok && !rec.header.ok:
		above = rec.body
	}
	t.State = guard.State{Header: rec.header.ok}
	switch {
	case above.ok:
		t.ID, t.Parent = above.trace, above.span
	case rec.proxy.ok:
		t.ID, t.Parent = rec.proxy.trace, [8]byte{}
	case t.ID == [16]byte{}:
		binary.NativeEndian.PutUint64(t.ID[:8], rand.Uint64()|1) //nolint:gosec // an id is no secret, and the generator cannot be foretold
		binary.NativeEndian.PutUint64(t.ID[8:], rand.Uint64())   //nolint:gosec // an id is no secret, and the generator cannot be foretold
	}
	rec.home = point{t.ID, t.Parent, true}
	if rec.proxy.ok {
		t.Parent = rec.proxy.span
	}
}

// Stamp implements gate.Tracer: a server whose caller told its place in the body is
// told ours there.
func (r *Rules) Stamp(x *guard.Exchange, m *mcp.Message) []mcp.Edit {
	if !x.Trace.InBody {
		return nil
	}
	meta := m.Meta()
	if _, ok := mcp.Member(meta, keyParent); !ok {
		return nil // a guard took it out
	}
	value := x.Trace.AppendTraceparent(make([]byte, 0, 60)[:1])
	value[0] = '"'
	edits := []mcp.Edit{mcp.SetPointer("/params/_meta/"+keyParent, append(value, '"'))}
	rec, _ := records.Get(x)
	if _, ok := mcp.Member(meta, keyState); ok && (rec == nil || !rec.body.ok) {
		edits = append(edits, mcp.RemoveMember("/params/_meta/"+keyState)) // of a place that nobody can read
	}
	return edits
}
