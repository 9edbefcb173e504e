package mcp

import "encoding/json"

// Direction says who sent a message.
type Direction uint8

// The two directions. ToServer travels from the MCP client to the MCP server.
const (
	ToServer Direction = iota
	ToClient
)

// String returns "to_server" or "to_client".
func (d Direction) String() string {
	if d == ToClient {
		return "to_client"
	}
	return "to_server"
}

// Kind is the JSON-RPC role of a message.
type Kind uint8

// The kinds. Transport messages have no JSON body: they stand for the bodyless
// HTTP requests of the streamable HTTP transport ([MethodListen], [MethodClose]).
const (
	Invalid Kind = iota
	Request
	Notification
	Response // a response with a result
	Failure  // a response with an error
	Transport
)

// String returns the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Response:
		return "response"
	case Failure:
		return "failure"
	case Transport:
		return "transport"
	}
	return "invalid"
}

// Methods that this gateway gives to bodyless HTTP requests, so that nothing
// passes without a verdict. No JSON-RPC message may carry them.
const (
	MethodListen = "transport/listen" // GET: open the legacy server-to-client stream
	MethodClose  = "transport/close"  // DELETE: end the legacy session
)

// Message is one decoded MCP message. All byte slices point into Raw and are
// borrowed: whoever keeps a message beyond the call that received it copies it
// with [Message.Clone].
type Message struct {
	Direction Direction
	Kind      Kind
	ID        json.RawMessage // the lexeme as it came; nil for a notification or an error without id
	Method    string          // empty for responses
	Name      string          // tool, prompt, resource uri or task id that params name; see [Method]
	Params    json.RawMessage // nil when absent
	Result    json.RawMessage
	Error     json.RawMessage
	Raw       []byte

	clear string // what of Name may be written down

	// Parts of Raw that decoding found on its way.
	decoded      bool
	meta         span // params._meta
	version      span // its protocol version, of whatever type
	capabilities span // its client capabilities
}

// TransportMessage returns the message that stands for a bodyless HTTP request;
// method is [MethodListen] or [MethodClose].
func TransportMessage(method string) Message {
	return Message{Direction: ToServer, Kind: Transport, Method: method}
}

// IsResponse reports whether m answers an earlier request.
func (m *Message) IsResponse() bool { return m.Kind == Response || m.Kind == Failure }

// Meta returns params._meta, or nil when the message has none.
func (m *Message) Meta() json.RawMessage {
	if !m.decoded {
		meta, _ := Member(m.Params, "_meta")
		return meta
	}
	return m.cut(m.meta)
}

// cut returns a part of Raw, or nil for an absent one.
func (m *Message) cut(s span) json.RawMessage {
	if s.end == 0 {
		return nil
	}
	return m.Raw[s.start:s.end:s.end]
}

// Clone returns a copy of m that shares no memory with it.
func (m *Message) Clone() *Message {
	if m == nil {
		return nil
	}
	c := *m
	c.Raw = append([]byte(nil), m.Raw...)
	c.ID = clone(m.ID)
	c.Params = clone(m.Params)
	c.Result = clone(m.Result)
	c.Error = clone(m.Error)
	return &c
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}
