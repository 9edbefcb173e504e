package guard

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/mcp"
)

// Exchange is one HTTP request with everything that follows from it: the
// client's message, and the messages that come back. Its host owns it and
// touches it from one goroutine at a time; guards use it only while they are
// being asked.
type Exchange struct {
	ID        string // unique; in receipts, logs and the client's error data
	Server    Server // the registered server the request is for
	Principal Principal
	Source    netip.AddrPort // the downstream peer, as the host's transport knows it
	Peer      Peer           // its certificate, likewise
	Verb      string         // HTTP method
	Path      string         // without the query
	Headers   Headers        // the client's headers; valid during Admit and ToServer inspections only
	Revision  mcp.Revision   // known once the client's message is decoded
	Session   string         // legacy Mcp-Session-Id as the upstream knows it; empty when there is none
	Started   time.Time
	Upstream  int       // HTTP status that the server, or the proxy in its place, answered with; 0 before that
	Asked     Asked     // the client's message; zero until it was judged
	Original  bool      // the host can forward nothing but the original, so an edited message is refused
	Unseen    bool      // the host is not shown what the server answers
	Stream    bool      // the server answers with an event stream
	Out       *Outbound // the connection that is asked for, where the exchange is no MCP message
	Trace     Trace     // set by the host before the first guard is asked; zero where nothing is traced

	allowance allowance
	admission []Entry // journal of Admit, until a decision takes it over
	raised    []Event // likewise
	reply     []Field
	labels    []string
	slots     []slot
	usage     Usage
	settled   bool
	released  bool // the client's message was allowed, and nothing judged since says what came of it
}

// Headers are the client's headers.
type Headers interface {
	mcp.Headers
	// Each calls visit for every line that the client wrote and that the server may
	// get to read, with the name in lower case. The value is valid during the visit,
	// and nobody's to change.
	Each(visit func(name string, value []byte))
}

// Open reports whether the client's message was let go and no decision since says
// what became of it: the events of a stream do not, nor does anything where the
// host is shown no answer. How such an exchange ends is worth writing down.
// So is that of every connection, of which nothing but the request is judged.
func (x *Exchange) Open() bool { return x.Out != nil || x.released && !x.Unseen }

// advance notes what d says of the exchange as a whole.
func (x *Exchange) advance(d *Decision) {
	switch {
	case d.Direction == mcp.ToServer:
		x.released = d.Action == Allow
	case !x.Stream:
		x.released = false
	}
}

// Outbound is a connection that a workload wants to make through an egress listener.
type Outbound struct {
	Listener, Workload string
	Scheme, Host       string // https is a tunnel
	Port               int
	Address            netip.AddrPort // that was judged, and is connected to
	Cause              string         // exchange of the call whose trace it claims to belong to
	Candidates         []string       // exchanges of calls that may have caused it, where it claims none
}

// Asked remembers what the client's message asked for, so that replies can be
// matched to it. It holds copies.
type Asked struct {
	Kind   mcp.Kind
	ID     json.RawMessage
	Method string
	Name   string
	Clear  string // what of Name may be written down; see [Asked.InClear]

	hidden bool // the id must not be written down
}

// Topic is the method that a message is about: its own, or for the reply to
// the client's request the method of that request. It is [TopicResponse] for
// every other response.
func (x *Exchange) Topic(m *mcp.Message) string {
	switch {
	case m.Method != "":
		return m.Method
	case m.Direction == mcp.ToClient && x.Asked.Kind == mcp.Request:
		return x.Asked.Method
	}
	return TopicResponse
}

// TopicResponse is the topic of responses that no request of the exchange
// explains. To the server: what a client POSTs to answer a server's request.
// To the client: what a resumed legacy stream delivers late, which may answer
// anything the client ever asked; so every guard that wants any message to the
// client is asked about it, whatever methods it names.
const TopicResponse = "response"

// Labels returns the labels in the order they were first added. The caller
// must not change them.
func (x *Exchange) Labels() []string { return x.labels }

// label adds the labels among duties; labels are a set.
func (x *Exchange) label(duties []Obligation) {
	for i := range duties {
		if o := &duties[i]; o.Kind == AddLabel && !slices.Contains(x.labels, o.Name) {
			x.labels = append(x.labels, o.Name)
		}
	}
}

// takeAdmission hands the journal and the events of the admission to the first
// decision after it, so that what a shadowed guard said there is kept too.
func (x *Exchange) takeAdmission(d *Decision) {
	d.Journal, d.Events = x.admission, x.raised
	x.admission, x.raised = nil, nil
}

// Field is a header of the reply to the client.
type Field struct{ Name, Value string }

// ReplyFields returns the headers that guards gave the reply to the client, in
// the order they were first set. They belong on refusals too, and go out before
// the first byte of the reply. The caller must not change them.
func (x *Exchange) ReplyFields() []Field { return x.reply }

// note takes what outlives a later refusal from the duties of guard's verdict:
// labels, events, headers of the reply and sources.
func (x *Exchange) note(d *Decision, guard string, duties []Obligation) {
	x.label(duties)
	for i := range duties {
		switch o := &duties[i]; o.Kind {
		case Raise:
			d.Events = append(d.Events, Event{guard, o.Name, o.Value})
		case ResponseHeader:
			x.setReply(o.Name, o.Value)
		case Mark:
			d.Values, d.ValuesCut = strings.Fields(o.Value), o.Name == "values_cut"
		case Cite:
			d.Sources = append(d.Sources, sourceOf(o))
		}
	}
}

func (x *Exchange) setReply(name, value string) {
	for i := range x.reply {
		if x.reply[i].Name == name {
			x.reply[i].Value = value
			return
		}
	}
	x.reply = append(x.reply, Field{name, value})
}
