package extproc

import (
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

const headerLastEvent = "last-event-id"

// session is the one that the client named: outer as the client has it, inner
// as the filters behind ext_proc know it, with the version's mark and whatever
// the envelope of replicas put in.
type session struct{ outer, inner string }

// enter opens the session that a request names. ok is false for one that was
// not made for its caller.
func (m *machine) enter(outer string) (ok bool) {
	m.session = session{outer, outer}
	if m.snap.Binding == nil || outer == "" {
		return true
	}
	m.session.inner, ok = m.snap.Binding.Open(binding.Session, &m.x, outer)
	return ok
}

// resume notes whether the request resumes a stream, and opens the event that it
// resumes it from.
func (m *machine) resume(h envoymap.Headers) *mcp.Fault {
	event, n := h.Get(headerLastEvent)
	m.resumes = n > 0
	switch {
	case m.snap.Binding == nil || event == "" && n < 2:
		return nil
	case n > 1:
		return fault(guard.InvalidMessage, "several last-event-id headers")
	}
	var ok bool
	if m.since, ok = m.snap.Binding.Open(binding.Event, &m.x, event); !ok {
		return fault(guard.UnknownEvent, "the event was not made for this caller, or its key is gone")
	}
	return nil
}

// tag marks the id of a new session with the version that the route led to, and
// binds it to the caller. ok is false where that cannot be done.
func (m *machine) tag(h envoymap.Headers) (ok bool) {
	id := h.Value(mcp.HeaderSession)
	if id == "" {
		return true
	}
	if !isVisible(id) {
		return false // no session id of MCP (transports, session management), but words that nobody judged
	}
	inner := id
	if version := h.Value(envoymap.VersionHeader); version != "" && m.server == "" && len(m.srv.Versions) > 1 {
		inner = gate.Tag(version, id)
	}
	outer := inner
	switch {
	case m.snap.Binding == nil:
	case inner == m.session.inner: // said again, perhaps under an older key
		outer = m.session.outer
	default:
		if outer, ok = m.snap.Binding.Seal(binding.Session, &m.x, inner); !ok {
			return false
		}
	}
	if outer != id {
		m.change.add(mcp.HeaderSession, outer)
	}
	return true
}

// bindEvent binds an event's id to the caller. One that cannot come back in a
// header is left out: the client then resumes from the event before.
func (m *machine) bindEvent(e *sse.Event) {
	if m.snap.Binding == nil || !e.HasID || e.ID == "" {
		return
	}
	if e.HasID = isFieldValue(e.ID); e.HasID {
		e.ID, e.HasID = m.snap.Binding.Seal(binding.Event, &m.x, e.ID)
	}
	if !e.HasID {
		e.ID = ""
	}
}

// isVisible reports whether s is visible ASCII without spaces.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isFieldValue reports whether s can be a header's value as it is.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
