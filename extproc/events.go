package extproc

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

// errEnd stops the splitter when the stream has had its last event.
var errEnd = errors.New("extproc: the stream has ended")

// stream judges the events that b completes and releases them. Memory is
// bounded by one event and one chunk.
func (m *machine) stream(ctx context.Context, b []byte, end bool) {
	var release []byte
	err := m.splitter.Push(b, func(e sse.Event) error {
		var err error
		release, err = m.event(ctx, e, release)
		return err
	})
	last := end || err != nil
	switch {
	case errors.Is(err, errEnd):
	case errors.Is(err, sse.ErrTooLarge):
		release = m.breakOff(ctx, release, fault(guard.UpstreamTooLarge, "event is over limits.event"))
	case err != nil:
		release = m.breakOff(ctx, release, fault(guard.UpstreamBadReply, err.Error()))
	case end:
		dropped := m.splitter.Close()
		if m.x.Asked.Kind == mcp.Request && !m.answered && !m.resumable {
			detail := "event stream ended without the response"
			if dropped > 0 {
				detail = "event stream ended within an event"
			}
			release = m.breakOff(ctx, release, fault(guard.UpstreamBadReply, detail))
		} else {
			m.end(guard.Completed)
		}
	}
	m.emit(release, last)
}

func (m *machine) emit(b []byte, last bool) {
	m.sent += int64(len(b))
	for len(b) > maxChunk {
		m.out = append(m.out, chunk(b[:maxChunk], false))
		b = b[maxChunk:]
	}
	if len(b) > 0 || last {
		m.out = append(m.out, chunk(b, last))
	}
	if last {
		m.phase = done
	}
}

// event judges one event and appends what may go on to out.
func (m *machine) event(ctx context.Context, e sse.Event, out []byte) ([]byte, error) {
	if e.IsComment() {
		return e.AppendTo(out), nil
	}
	if e.HasID && e.ID != "" {
		m.resumable = true
	}
	if len(e.Data) == 0 { // primes the client's last event id; nothing to judge
		return e.AppendTo(out), nil
	}
	if !e.IsMessage() {
		// MCP has no other events, and a client that reads them all the same
		// would read them unjudged.
		m.snap.Chain.Reject(ctx, &m.x, nil, mcp.ToClient, fault(guard.UpstreamBadReply, "event of another type was dropped"))
		return out, nil
	}
	msg, f := m.snap.Decoder.Decode(mcp.ToClient, e.Data)
	if f == nil {
		f = m.belongs(&msg)
	}
	if f != nil {
		return m.breakOff(ctx, out, badReply(f)), errEnd
	}
	d := m.snap.Chain.Run(ctx, &m.x, &msg)
	if d.Action != guard.Allow {
		if msg.Kind == mcp.Notification {
			return out, nil // the client does not wait for it
		}
		return m.refuseEvent(out, &d), errEnd
	}
	if d.Edited {
		e.Data = d.Message.Raw
	}
	out = e.AppendTo(out)
	if msg.IsResponse() && m.x.Asked.Kind == mcp.Request {
		m.answered = true
		m.end(guard.Completed)
		return out, errEnd // a second response would be another answer to the same question
	}
	return out, nil
}

// belongs checks that a message may appear on this stream.
func (m *machine) belongs(msg *mcp.Message) *mcp.Fault {
	switch msg.Kind {
	case mcp.Response, mcp.Failure:
		if m.x.Asked.Kind == mcp.Request && !mcp.SameID(msg.ID, m.x.Asked.ID) {
			return fault(guard.UpstreamBadReply, "response to a request that was not made on this stream")
		}
		return nil // on a GET stream: what the client missed before it resumed
	case mcp.Request:
		if m.x.Revision.Modern() {
			return fault(guard.UpstreamBadReply, "the protocol revision has no server-to-client requests")
		}
	}
	return m.snap.Decoder.CheckMethod(msg, m.x.Revision)
}

// breakOff appends the error event that ends a stream which cannot go on.
func (m *machine) breakOff(ctx context.Context, out []byte, f *mcp.Fault) []byte {
	d := m.snap.Chain.Reject(ctx, &m.x, nil, mcp.ToClient, f)
	return m.refuseEvent(out, &d)
}

func (m *machine) refuseEvent(out []byte, d *guard.Decision) []byte {
	m.end(guard.Refused)
	if m.x.Asked.Kind != mcp.Request {
		return out // nobody waits for a response on this stream
	}
	r := m.snap.Chain.Refusal(&m.x, d)
	return sse.Event{Data: r.Body}.AppendTo(out)
}

// interrupt ends a stream for a reason of the gateway.
func (m *machine) interrupt(ctx context.Context, r guard.Reason) {
	m.emit(m.breakOff(ctx, nil, fault(r, "the gateway is stopping")), true)
}
