package extproc

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

// errEnd stops the splitter when the stream has had its last event.
var errEnd = errors.New("extproc: the stream has ended")

// stream judges the events that b completes and releases them. Memory is
// bounded by one event and one chunk.
func (m *machine) stream(ctx context.Context, b []byte, end bool) {
	out := m.buffer[:0]
	err := m.splitter.Push(b, func(e sse.Event) error {
		var err error
		out, err = m.event(ctx, e, out)
		return err
	})
	switch {
	case errors.Is(err, errEnd), m.answered:
	case errors.Is(err, sse.ErrTooLarge):
		out = m.breakOff(ctx, out, fault(guard.UpstreamTooLarge, "event is over limits.event"))
	case err != nil:
		out = m.breakOff(ctx, out, fault(guard.UpstreamBadReply, err.Error()))
	case end:
		out = m.finish(ctx, out)
	}
	m.buffer = out
	if cap(m.buffer) > maxChunk {
		m.buffer = nil // a stream may stay open for hours
	}
	m.emit(out, end || err != nil)
}

// finish handles the upstream's end of a stream that has not answered.
func (m *machine) finish(ctx context.Context, out []byte) []byte {
	dropped := m.splitter.Close()
	if m.x.Asked.Kind != mcp.Request || m.resumable {
		m.end(guard.Completed) // the client comes back for the rest, if there is any
		return out
	}
	detail := "event stream ended without the response"
	if dropped > 0 {
		detail = "event stream ended within an event"
	}
	return m.breakOff(ctx, out, fault(guard.UpstreamBadReply, detail))
}

// event judges one event and appends what may go on to out.
func (m *machine) event(ctx context.Context, e sse.Event, out []byte) ([]byte, error) {
	switch {
	case e.IsComment():
		if m.answered {
			return out, nil
		}
		return append(out, ":\n\n"...), nil // keeps the connection alive; its words were not judged
	case m.answered:
		// A second response would be another answer to the same question,
		// and anything else comes too late to matter.
		m.drop(ctx, "message after the response")
		return out, errEnd
	}
	if m.bindEvent(&e); e.HasID && e.ID != "" && !m.x.Revision.Modern() {
		m.resumable = true
	}
	if len(e.Data) == 0 { // sets the client's last event id or retry time; nothing to judge
		e.Type, e.Data = "", nil
		if !e.HasID && e.Retry == "" {
			return out, nil
		}
		return e.AppendTo(out), nil
	}
	if !e.IsMessage() {
		// MCP has no other events, and a client that reads them all the same
		// would read them unjudged.
		m.drop(ctx, "event of another type")
		return out, nil
	}
	return m.message(ctx, e, out)
}

// message judges the message in an event.
func (m *machine) message(ctx context.Context, e sse.Event, out []byte) ([]byte, error) {
	msg, f := m.read(e.Data)
	if f == nil {
		f = m.belongs(&msg)
	}
	if f != nil {
		if m.listens() {
			m.drop(ctx, f.Detail)
			return out, nil
		}
		return m.breakOff(ctx, out, badReply(f)), errEnd
	}
	m.noteReply(&msg)
	d := m.snap.Chain.Run(ctx, &m.x, &msg)
	if d.Action == guard.Allow {
		if _, f := gate.Duties(d.Obligations, mcp.ToClient); f != nil {
			d = m.snap.Chain.Reject(ctx, &m.x, &msg, mcp.ToClient, f)
		}
	}
	if d.Action != guard.Allow {
		if msg.Kind == mcp.Notification || m.listens() {
			return out, nil // the client does not wait for it
		}
		return m.refuseEvent(out, &d), errEnd
	}
	e.Data = d.Message.Raw
	out = e.AppendTo(out)
	m.messages++
	if msg.IsResponse() && m.x.Asked.Kind == mcp.Request {
		m.answered = true
		m.end(guard.Completed)
		// The upstream's own end is near. Ending first would cost it, and
		// Envoy, the connection.
		m.phase = lingering
	}
	return out, nil
}

// belongs checks that a message may appear on this stream.
func (m *machine) belongs(msg *mcp.Message) *mcp.Fault {
	switch {
	case msg.IsResponse() && m.x.Asked.Kind == mcp.Request:
		if !mcp.SameID(msg.ID, m.x.Asked.ID) {
			return fault(guard.UpstreamBadReply, "response to a request that was not made on this stream")
		}
		return nil
	case msg.IsResponse():
		if !m.resumes {
			return fault(guard.UpstreamBadReply, "response on a stream that resumes none")
		}
		return nil // what the client missed before it came back
	case msg.Kind == mcp.Request && m.x.Revision.Modern():
		return fault(guard.UpstreamBadReply, "the protocol revision has no server-to-client requests")
	}
	return m.snap.Decoder.CheckMethod(msg, m.x.Revision)
}

// drop leaves a receipt of an event that is not passed on.
func (m *machine) drop(ctx context.Context, detail string) {
	m.snap.Chain.Reject(ctx, &m.x, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "dropped: "+detail))
}

// breakOff appends the error event that ends a stream which cannot go on.
func (m *machine) breakOff(ctx context.Context, out []byte, f *mcp.Fault) []byte {
	d := m.snap.Chain.Reject(ctx, &m.x, nil, mcp.ToClient, f)
	return m.refuseEvent(out, &d)
}

func (m *machine) refuseEvent(out []byte, d *guard.Decision) []byte {
	m.why, m.verdict, m.untold = d.Reason, d.Action, m.wishes.Log
	m.end(guard.Refused)
	if m.x.Asked.Kind != mcp.Request {
		return out // nobody waits for a response on this stream
	}
	r := m.snap.Chain.Refusal(&m.x, d)
	return sse.Event{Data: r.Body}.AppendTo(out)
}

// outlived ends a stream whose client is no longer who it was: its token has
// expired, and it may come back with a fresh one, or it was revoked.
func (m *machine) outlived(ctx context.Context, r guard.Reason, detail string) {
	m.emit(m.breakOff(ctx, nil, fault(r, detail)), true)
}

// interrupt ends an open stream because the gateway stops. A client that can
// resume it gets the rest from another replica.
func (m *machine) interrupt(ctx context.Context) {
	var out []byte
	if !m.answered {
		d := m.snap.Chain.Reject(ctx, &m.x, nil, mcp.ToClient, fault(guard.GatewayStopping, "the gateway is stopping"))
		if !m.resumable || m.x.Revision < mcp.R20251125 {
			out = m.refuseEvent(nil, &d)
		}
		m.why = guard.GatewayStopping
		m.end(guard.Reset)
	}
	m.emit(out, true)
}
