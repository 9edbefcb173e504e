package extproc

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

const (
	mediaJSON   = "application/json"
	mediaEvents = "text/event-stream"
)

// refuse answers in place of whatever was to come.
func (m *machine) refuse(d *guard.Decision) {
	m.verdict = d.Action
	m.reply(m.snap.Chain.Refusal(&m.x, d), d.Reason)
}

// reject is refuse for what the host itself finds wrong.
func (m *machine) reject(ctx context.Context, msg *mcp.Message, dir mcp.Direction, f *mcp.Fault) {
	d := m.snap.Chain.Reject(ctx, &m.x, msg, dir, f)
	m.refuse(&d)
}

// idBody is the largest declared body that is waited for only to learn the id
// which a refusal has to carry.
const idBody = 64 << 10

// refuseEarly refuses a request whose headers alone are reason enough. Clients
// drop the whole connection over an error without their request's id, so the
// answer waits for a body that is small.
func (m *machine) refuseEarly(h envoymap.Headers, end bool, d *guard.Decision) {
	challenged := m.snap.Chain.Info(d.Reason).Status == http.StatusUnauthorized // nothing is read for strangers
	if size, n := contentLength(h); !challenged && !end && m.x.Verb == http.MethodPost && n == 1 && size <= idBody {
		m.refusal = d
		m.phase = body
		m.say(m.answer.requestHeaders(change{remove: h.Strip()}, false)) // nothing of it goes on; if it did, no token would
		return
	}
	m.refuse(d)
}

func (m *machine) rejectEarly(ctx context.Context, h envoymap.Headers, end bool, f *mcp.Fault) {
	d := m.snap.Chain.Reject(ctx, &m.x, nil, mcp.ToServer, f)
	m.refuseEarly(h, end, &d)
}

// reply sends r as the whole response.
func (m *machine) reply(r guard.Refusal, reason guard.Reason) {
	if r.RetryAfter == "" {
		r.RetryAfter = m.retry // the upstream's own, should there be one
	}
	a := gate.Render(r, m.eventsOnly)
	m.status = r.Status
	m.sent += int64(len(a.Body))
	m.held = nil
	m.say(immediate(a, reason, m.facts(reason)))
	m.phase = done
	m.why = reason
	m.end(guard.Refused)
}

// unknownSession says that a session is gone: 404 without a body, because
// several clients recognise it only where the body is no JSON-RPC error.
func (m *machine) unknownSession(ctx context.Context, dir mcp.Direction, detail string) {
	d := m.snap.Chain.Reject(ctx, &m.x, nil, dir, fault(guard.UnknownSession, detail))
	r := m.snap.Chain.Refusal(&m.x, &d)
	r.Body = nil
	m.reply(r, d.Reason)
}

// abandon ends an exchange in which nothing can be decided any more.
func (m *machine) abandon() {
	m.end(guard.Broken)
	switch m.phase {
	case holding:
		m.say(immediate(gate.Answer{Status: 503}, guard.GuardError, m.facts(guard.GuardError)))
	case events, lingering:
		m.say(m.answer.chunk(nil, true))
	}
	m.phase = done // what still comes is dropped, never passed
}

// fault is a Fault for one of the host's own reasons, whose status and code
// come from the reason.
func fault(r guard.Reason, detail string) *mcp.Fault {
	return &mcp.Fault{Reason: string(r), Detail: detail, Offset: -1}
}

// end notes how the exchange ended; the first ending counts.
func (m *machine) end(e guard.Ending) {
	if !m.ended {
		m.ended, m.ending = true, e
	}
}

// settle tells the guards, when the gRPC stream is over; err is what ended it.
func (m *machine) settle(ctx context.Context, err error) error {
	if !m.asked {
		return nil // no request was seen: an earlier filter's reply, or nothing at all
	}
	if isReset(err) {
		m.end(guard.Reset)
	} else {
		m.end(guard.Broken)
	}
	o := guard.Outcome{
		Ending: m.ending, Reached: m.reached, Status: m.status,
		BytesIn: m.in, BytesOut: m.sent, Out: m.messages, Elapsed: time.Since(m.x.Started), Reason: m.why, Reply: m.replied,
	}
	if m.reached && m.x.Asked.Kind != mcp.Transport {
		o.In = 1
	}
	return m.snap.Chain.Settle(ctx, &m.x, o)
}
