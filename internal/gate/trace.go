package gate

import (
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Tracer finds the place of exchanges in distributed traces. Its methods are
// called on the way of each message, concurrently for different exchanges.
type Tracer interface {
	// Begin gives x its place as far as headers tell, before the first guard is
	// asked.
	Begin(x *guard.Exchange, a Ambient)
	// Read corrects that by what m says, the client's message, before it is judged.
	Read(x *guard.Exchange, m *mcp.Message)
	// Stamp is [guard.Host]'s.
	Stamp(x *guard.Exchange, m *mcp.Message) []mcp.Edit
}

// Propagate returns the headers that tell the server its place in x's trace, and
// those that must not reach it; had says that the request has a tracestate.
func Propagate(t *guard.Trace, had bool) (set []Header, remove []string) {
	if !t.On() {
		return nil, nil
	}
	set = append(set, Header{Name: "traceparent", Value: string(t.AppendTraceparent(make([]byte, 0, 55)))})
	switch {
	case t.State.Header:
	case t.State.Body != "":
		set = append(set, Header{Name: "tracestate", Value: t.State.Body})
	case had:
		remove = []string{"tracestate"} // of a place that does not count
	}
	return set, remove
}

// Ambient is what a host knows of traces from beginning to end of its headers.
type Ambient struct {
	Caller  string // traceparent that the client sent; empty where it sent none, or several
	Proxy   string // that of the proxy's own span
	Relayed bool   // the proxy's spans come to the gateway, and the client's place is kept from it
}
