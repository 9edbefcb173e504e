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
	Headers   mcp.Headers    // the client's headers; valid during Admit and ToServer inspections only
	Revision  mcp.Revision   // known once the client's message is decoded
	Session   string         // legacy Mcp-Session-Id as the upstream knows it; empty when there is none
	Started   time.Time
	Upstream  int       // HTTP status that the server, or the proxy in its place, answered with; 0 before that
	Asked     Asked     // the client's message; zero until it was judged
	Original  bool      // the host can forward nothing but the original, so an edited message is refused
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
	Kind          mcp.Kind
	ID            json.RawMessage
	Method        string
	Name          string
	Clear         string // what of Name may be written down; see [Asked.InClear]
	ProgressToken json.RawMessage
}

// Server is what guards may know of a registered MCP server.
type Server struct {
	Name           string
	Owner          string
	Domain         string
	Classification string
	Clearance      string // most sensitive data that may go into what is not described on its own; may be empty
	Version        string // that serves the exchange; empty while only the route knows

	// Tools are those that the registry describes, by name; "*" describes the
	// others. It is shared between exchanges, so nobody changes it.
	Tools map[string]Tool

	// Prices are what the registry says that calls cost, likewise.
	Prices map[string]Price

	// Fields are the members of arguments and results of which the registry says
	// how sensitive they are, likewise.
	Fields map[string][]DataField
}

// DataField is a member of arguments or results that is as sensitive as
// Classification says, wherever it is there.
type DataField struct {
	Path           string // JSON pointer from the arguments or from the structured result; a step * is every member or element
	Classification string
	Arguments      bool // it is looked for in arguments
	Results        bool // and in results
}

// Tool is what the registry says of a tool. Nothing in it comes from the server
// itself, whose word about its own tools is a claim.
type Tool struct {
	Classification string // sensitivity of its data: the tool's own, else its server's; may be empty
	Clearance      string // most sensitive data that may go in: the tool's own, else its server's; may be empty
	Risk           string // low, medium, high or critical; empty when nobody judged it
	Sensitive      bool   // callers have to prove freshly who they are; what is checked is checked most strictly
	ReadOnly       bool   // it changes nothing
	Destructive    bool   // it may delete or overwrite
	Idempotent     bool   // calling it again with the same arguments changes nothing more
	External       bool   // it reaches what lies outside of the organisation
	Financial      bool   // it moves money
}

// Price is what calls of a tool cost, in millionths of a US dollar. The zero Price
// is none.
type Price struct {
	Call     int64  // of a call
	In, Out  int64  // of a MiB of the request and of the reply
	Tokens   string // where the result has their number, such as _meta.usage.totalTokens
	Million  int64  // of a million tokens
	Estimate int64  // what only the reply tells is expected to be; 0 for what it was of late
}

// Price returns what the registry says that calls of the tool called name cost.
func (s *Server) Price(name string) (p Price, known bool) {
	return fact(s.Prices, name)
}

// FieldsOf returns the fields of the tool called name, in any spelling that
// [Server.Tool] takes for it.
func (s *Server) FieldsOf(name string) []DataField {
	list, _ := fact(s.Fields, name)
	return list
}

// Tool returns what the registry says of the tool called name. Of a tool that
// it does not describe nothing is known, so that the worst must be assumed. A
// name that differs from a described one by case only is that tool: some servers
// take it for that, and a fact must not be escaped by spelling.
func (s *Server) Tool(name string) (t Tool, known bool) { return fact(s.Tools, name) }

func fact[F any](facts map[string]F, name string) (f F, known bool) {
	if len(facts) == 0 {
		return f, false
	}
	if f, known = facts[name]; known {
		return f, true
	}
	least := ""
	for have := range facts {
		if strings.EqualFold(have, name) && (least == "" || have < least) { // of several always the same
			least = have
		}
	}
	if least == "" {
		least = "*"
	}
	f, known = facts[least]
	return f, known
}

// Peer is the client's end of the connection, as far as the host's transport
// verified it. It never comes from a header.
type Peer struct {
	Verified bool   // it showed a certificate that an authority of the listener signed
	Name     string // URI of the certificate, such as a SPIFFE id, else its subject
	Digest   string // SHA-256 of the certificate, in hex
}

// Principal is who is calling: human, agent and workload in one. The zero
// Principal is the anonymous one of the listener; nothing that the client
// merely claims is ever in here. It is shared between exchanges, so nobody
// changes its slices.
type Principal struct {
	Subject  string    // verified human or service subject, unique within Issuer
	Issuer   string    // who vouches for Subject
	Agent    string    // acting agent: the first of Actors, or what a claim names
	Actors   []string  // delegation chain, nearest first (RFC 8693, 4.1)
	Client   string    // OAuth client
	Tenant   string    // as the issuer's configuration maps it
	Project  string    // of the tenant, likewise; empty for none
	Roles    []string  // sorted
	Scopes   []string  // sorted
	Task     string    // task the token was issued for; empty for none
	TaskType string    // kind of that task
	Peer     string    // verified transport identity, such as a SPIFFE id
	Strength string    // authentication context (OIDC acr); empty when unknown
	AuthTime time.Time // when the human authenticated; zero when unknown
	Issued   time.Time // when the token was; zero when it does not say
	Expires  time.Time // of the token; zero for none
	TokenID  string    // jti, for revocation
}

// IsAnonymous reports whether nobody was verified.
func (p *Principal) IsAnonymous() bool { return p.Subject == "" && p.Client == "" && p.Peer == "" }

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

type slot struct {
	key   any
	value any
}

// Slot is a guard's private place in each exchange, for what it must remember
// between messages and until Settle. Values must not point into messages.
type Slot[T any] struct{ key *byte }

// NewSlot makes a slot. A package keeps it in a variable.
func NewSlot[T any]() Slot[T] { return Slot[T]{key: new(byte)} }

// Get returns what the slot holds in x.
func (s Slot[T]) Get(x *Exchange) (value T, ok bool) {
	for i := range x.slots {
		if x.slots[i].key == s.key {
			value, ok = x.slots[i].value.(T)
			return value, ok
		}
	}
	return value, false
}

// Set stores value in x.
func (s Slot[T]) Set(x *Exchange, value T) {
	for i := range x.slots {
		if x.slots[i].key == s.key {
			x.slots[i].value = value
			return
		}
	}
	x.slots = append(x.slots, slot{s.key, value})
}
