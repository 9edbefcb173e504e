package extproc

import (
	"context"
	"errors"
	"fmt"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

// phase is where an exchange stands.
type phase uint8

const (
	begin   phase = iota // nothing seen yet
	body                 // request headers passed, its body is awaited
	waiting              // the request was released, the response is awaited
	holding              // response headers are held until the whole body was judged
	events               // response headers went out; events are judged one by one
	foreign              // an earlier filter answered; nothing of it came from an upstream
	done                 // our last word was said; what still comes is dropped
)

// machine is the state of one exchange. step takes one message of Envoy and
// appends the answers to out.
type machine struct {
	snap   *gate.Snapshot
	server string // from the operator's route; empty: the path decides
	srv    *registry.Server
	x      guard.Exchange
	out    []*extprocv3.ProcessingResponse
	phase  phase

	hasLength bool // the request declared its length
	status    int  // of the response
	held      []byte
	reply     reply
	splitter  *sse.Splitter
	answered  bool // the response to the client's request was released
	resumable bool // the stream gave an event id, so the client can come back
	reached   bool // the request was released to the upstream
	ending    guard.Ending
	ended     bool
	in, sent  int64
}

// reply is what the response headers said.
type reply struct {
	contentType string
	events      bool
}

func newMachine(snap *gate.Snapshot, server string) *machine {
	return &machine{snap: snap, server: server, x: guard.Exchange{ID: gate.NewID(), Started: time.Now()}}
}

var errOrder = errors.New("extproc: Envoy sent a message out of order; the processing mode must be the documented one")

// step handles one message of Envoy. An error makes Envoy fail the exchange.
func (m *machine) step(ctx context.Context, req *extprocv3.ProcessingRequest) error {
	switch r := req.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		if m.phase != begin {
			return errOrder
		}
		m.x.Source = envoymap.Source(req.GetAttributes())
		m.requestHeaders(ctx, r.RequestHeaders)
	case *extprocv3.ProcessingRequest_RequestBody:
		if m.phase == done {
			return nil
		}
		if m.phase != body {
			return errOrder
		}
		m.requestBody(ctx, r.RequestBody)
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return m.onResponseHeaders(ctx, r.ResponseHeaders)
	case *extprocv3.ProcessingRequest_ResponseBody:
		return m.onResponseBody(ctx, r.ResponseBody)
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return m.onResponseTrailers(ctx)
	default:
		return fmt.Errorf("extproc: unexpected message %T", req.Request)
	}
	return nil
}

func (m *machine) onResponseHeaders(ctx context.Context, h *extprocv3.HttpHeaders) error {
	switch m.phase {
	case begin:
		// A filter before us answered: the request never got here, so it
		// cannot have reached an upstream, and there is nothing to judge.
		m.phase = foreign
		m.out = append(m.out, passHeaders(nil))
	case waiting, body: // with body: Envoy itself answered while it read the request
		m.responseHeaders(ctx, h)
	case done:
	default:
		return errOrder
	}
	return nil
}

func (m *machine) onResponseBody(ctx context.Context, b *extprocv3.HttpBody) error {
	switch m.phase {
	case foreign:
		m.out = append(m.out, chunk(b.Body, b.EndOfStream))
	case holding:
		m.hold(ctx, b.Body, b.EndOfStream)
	case events:
		m.stream(ctx, b.Body, b.EndOfStream)
	case done:
	default:
		return errOrder
	}
	return nil
}

// onResponseTrailers ends a body whose last chunk did not say so. Trailers of
// an upstream carry nothing that MCP knows, but Envoy wants an answer.
func (m *machine) onResponseTrailers(ctx context.Context) error {
	switch m.phase {
	case foreign:
		m.out = append(m.out, passTrailers())
	case holding:
		m.hold(ctx, nil, true)
	case events:
		m.stream(ctx, nil, true)
	case done:
	default:
		return errOrder
	}
	return nil
}

// refuse answers in place of whatever was to come.
func (m *machine) refuse(d *guard.Decision) {
	m.immediate(m.snap.Chain.Refusal(&m.x, d), string(d.Reason))
	m.end(guard.Refused)
}

// reject is refuse for what the host itself finds wrong.
func (m *machine) reject(ctx context.Context, msg *mcp.Message, dir mcp.Direction, f *mcp.Fault) {
	d := m.snap.Chain.Reject(ctx, &m.x, msg, dir, f)
	m.refuse(&d)
}

func (m *machine) immediate(r guard.Refusal, reason string) {
	m.status = r.Status
	m.sent += int64(len(r.Body))
	m.out = append(m.out, immediate(r, reason))
	m.phase = done
}

// end notes how the exchange ended; the first ending counts.
func (m *machine) end(e guard.Ending) {
	if !m.ended {
		m.ended, m.ending = true, e
	}
}

// settle tells the guards, when the gRPC stream is over.
func (m *machine) settle(ctx context.Context, err error) {
	if m.phase == begin || m.phase == foreign {
		return
	}
	switch {
	case m.ended:
	case err == nil:
		m.end(guard.Reset)
	case isReset(err):
		m.end(guard.Reset)
	default:
		m.end(guard.Broken)
	}
	m.snap.Chain.Settle(ctx, &m.x, guard.Outcome{
		Ending: m.ending, Reached: m.reached, Status: m.status,
		BytesIn: m.in, BytesOut: m.sent, Elapsed: time.Since(m.x.Started),
	})
}
