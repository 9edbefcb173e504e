package extproc

import (
	"context"
	"errors"
	"fmt"
	"time"

	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
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
	begin     phase = iota // nothing seen yet
	body                   // request headers passed, its body is awaited
	waiting                // the request was released, the response is awaited
	holding                // response headers are held until the whole body was judged
	events                 // response headers went out; events are judged one by one
	lingering              // the response went out; only the upstream's end of the stream is awaited
	foreign                // Envoy or an earlier filter answered; nothing of it came from an upstream
	done                   // our last word was said; what still comes is dropped
)

// machine is the state of one exchange. step takes one message of Envoy and
// sends the answers.
type machine struct {
	snap   *gate.Snapshot
	server string // from the operator's route; empty: the path decides
	wishes envoymap.Wishes
	srv    *registry.Server
	x      guard.Exchange
	phase  phase
	send   func(*extprocv3.ProcessingResponse) error
	err    error // the first of send
	answer answers

	// The request.
	asked      bool            // there was one
	refusal    *guard.Decision // made, and kept until the body tells the id that its answer needs
	length     bool            // it declared its length
	named      bool            // it has Mcp-Method or Mcp-Name headers
	resumes    bool            // it resumes a stream, so old responses may come
	session    session
	since      string // the event that it resumes from, where that had to be opened
	eventsOnly bool   // the client accepts no JSON
	tracestate bool   // it has that header
	parent     string // its traceparent where that is well-formed, for the access log
	blind      bool   // Envoy does not send the response, since no guard wants it

	// The response.
	status    int
	media     string                        // without parameters, in lower case
	retry     string                        // its Retry-After header
	change    change                        // to its headers
	empty     bool                          // it ended with its headers
	bodied    bool                          // some of its body came
	last      *extprocv3.ProcessingResponse // ends it, where it has trailers and no body
	held      []byte
	splitter  *sse.Splitter
	buffer    []byte // for released events
	answered  bool   // the response to the client's request was released
	resumable bool   // the stream gave an event id, so the client can come back

	// The ending.
	reached  bool // the request was released to the upstream
	ending   guard.Ending
	ended    bool
	untold   bool         // Envoy's access log does not know of it yet
	verdict  guard.Action // of the refusal, likewise
	why      guard.Reason // of the refusal that was the response, or ended it
	replied  guard.Reply
	in, sent int64
	messages int64 // that went to the client
}

func newMachine(snap *gate.Snapshot, server string, send func(*extprocv3.ProcessingResponse) error) *machine {
	return &machine{snap: snap, server: server, send: send, x: guard.Exchange{ID: gate.NewID(), Started: time.Now()}}
}

var errOrder = errors.New("extproc: Envoy sent a message out of order; the processing mode must be the documented one")

// step handles one message of Envoy. An error makes Envoy fail the exchange.
func (m *machine) step(ctx context.Context, req *extprocv3.ProcessingRequest) error {
	if m.phase == begin {
		if err := m.checkModes(req.GetProtocolConfig()); err != nil {
			return err
		}
	}
	var err error
	switch r := req.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		if m.phase != begin {
			return errOrder
		}
		m.x.Source = envoymap.Source(req.GetAttributes())
		m.x.Peer = envoymap.Peer(req.GetAttributes())
		m.requestHeaders(ctx, r.RequestHeaders)
	case *extprocv3.ProcessingRequest_RequestBody:
		err = m.onRequestBody(ctx, r.RequestBody)
	case *extprocv3.ProcessingRequest_RequestTrailers:
		err = m.onRequestTrailers(ctx)
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		err = m.onResponseHeaders(ctx, r.ResponseHeaders)
	case *extprocv3.ProcessingRequest_ResponseBody:
		err = m.onResponseBody(ctx, r.ResponseBody)
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		err = m.onResponseTrailers(ctx, r.ResponseTrailers)
	default:
		err = fmt.Errorf("extproc: unexpected message %T", req.Request)
	}
	if err != nil {
		return err
	}
	return m.err
}

// checkModes makes sure that Envoy sends what the machine has to see. A mode
// in which it would wait for nothing, or judge a part, must not pass for one
// that protects.
func (m *machine) checkModes(c *extprocv3.ProtocolConfiguration) error {
	if c == nil {
		return nil // an Envoy before 1.34 does not tell
	}
	const buffered, streamed = filterv3.ProcessingMode_BUFFERED, filterv3.ProcessingMode_FULL_DUPLEX_STREAMED
	if got := c.GetRequestBodyMode(); got != buffered {
		return fmt.Errorf("extproc: processing_mode.request_body_mode is %s and must be %s", got, buffered)
	}
	switch got := c.GetResponseBodyMode(); {
	case got == streamed:
	case got == filterv3.ProcessingMode_NONE && !m.snap.Chain.Wants(mcp.ToClient):
		m.blind, m.x.Unseen = true, true
	default:
		return fmt.Errorf("extproc: processing_mode.response_body_mode is %s and must be %s", got, streamed)
	}
	return nil
}

func (m *machine) onRequestBody(ctx context.Context, b *extprocv3.HttpBody) error {
	switch m.phase {
	case body:
		m.requestBody(ctx, b)
	case done:
	default:
		return errOrder
	}
	return nil
}

// onRequestTrailers ends a request that has trailers and no body: Envoy tells of no
// body then, however it buffers them. Where there is one, it came with the word that
// more follows.
func (m *machine) onRequestTrailers(ctx context.Context) error {
	switch m.phase {
	case body:
		if m.refusal != nil {
			m.refuse(m.refusal)
			break
		}
		m.reject(ctx, nil, mcp.ToServer, fault(guard.InvalidMessage, "trailers without a body"))
	case done:
	default:
		return errOrder
	}
	return nil
}

func (m *machine) onResponseHeaders(ctx context.Context, h *extprocv3.HttpHeaders) error {
	switch m.phase {
	case begin:
		// A filter before us answered: the request never got here, so it
		// cannot have reached an upstream, and there is nothing to judge.
		m.pass(h)
	case body:
		m.interrupted(ctx, h)
	case waiting:
		m.responseHeaders(ctx, h)
	case done:
	default:
		return errOrder
	}
	return nil
}

func (m *machine) onResponseBody(ctx context.Context, b *extprocv3.HttpBody) error {
	m.bodied = true
	switch m.phase {
	case foreign:
		m.say(m.answer.chunk(b.Body, b.EndOfStream))
		if b.EndOfStream {
			m.phase = done
		}
	case holding:
		m.hold(ctx, b.Body, b.EndOfStream)
	case events, lingering:
		m.stream(ctx, b.Body, b.EndOfStream)
	case done:
	default:
		return errOrder
	}
	return nil
}

// onResponseTrailers ends a body whose last chunk did not say so. Trailers of
// an upstream carry nothing that MCP knows, so they are never passed on.
// A reply that has nothing else, as HTTP/2 has them, is ended by them.
func (m *machine) onResponseTrailers(ctx context.Context, t *extprocv3.HttpTrailers) error {
	if !m.bodied {
		m.last = trailers(envoymap.NewHeaders(t.GetTrailers()).Names())
	}
	switch m.phase {
	case foreign:
		m.say(trailers(nil))
		m.phase = done
	case holding:
		m.hold(ctx, nil, true)
	case events, lingering:
		m.stream(ctx, nil, true)
	case done:
	default:
		return errOrder
	}
	return nil
}

// say sends one message. After an error nothing more is sent.
func (m *machine) say(r *extprocv3.ProcessingResponse) {
	if m.err == nil {
		m.err = m.send(r)
	}
}
