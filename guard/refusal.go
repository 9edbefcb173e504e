package guard

import (
	"encoding/json"

	"github.com/sallyport/sallyport/mcp"
)

// Refusal is a refusal in the words of the protocol: what the client gets.
type Refusal struct {
	Status     int    // HTTP status that says what it is
	Sent       int    // HTTP status to send; Status, unless the host wants all refusals read
	Body       []byte // one JSON-RPC error; its media type is application/json
	RetryAfter string // seconds, for the Retry-After header; empty for none
	Challenge  string // WWW-Authenticate header; empty for none
	Fields     []Field
}

// Refusal renders a decision that is not Allow. The error carries the id of
// the client's request byte for byte where one is known, because clients drop
// the whole connection over an error that they cannot match. Nothing of it
// comes from a verdict's Detail or from an error.
func (c *Chain) Refusal(x *Exchange, d *Decision) Refusal {
	info := c.Info(d.Reason)
	id := answered(x, d)
	status, code, data := info.Status, eraCode(info.Code, x), json.RawMessage(nil)
	if f := d.fault; f != nil {
		if f.Status != 0 {
			status = f.Status
		}
		if f.Code != 0 {
			code = f.Code
		}
		data = f.Data
	}
	if id == nil && status < 400 {
		status = withoutID(code, d.Message.Kind)
	}
	r := Refusal{Status: status, Sent: status, Fields: x.ReplyFields()}
	if c.host.AsResults && id != nil && (status == 429 || status >= 500) {
		r.Sent = 200
	}
	for _, o := range d.Obligations {
		switch o.Kind {
		case RetryAfter:
			r.RetryAfter = o.Value
		case Challenge:
			if r.Challenge = o.Value; c.host.Challenge != nil {
				r.Challenge = c.host.Challenge(x, o.Value)
			}
		}
	}
	if data == nil {
		data = refusalData(x, d)
	}
	if id == nil && unread(x, d) {
		id = json.RawMessage("null") // JSON-RPC 2.0, section 5; without it the Python SDK keeps the whole error to itself
	}
	if d.Result && id != nil && asked(x, d) == "tools/call" {
		r.Status, r.Sent = 200, 200
		r.Body = mcp.AppendResult(make([]byte, 0, 384), id, toolError(x, d, info.Text, data))
		return r
	}
	r.Body = mcp.AppendError(make([]byte, 0, 256), id, code, info.Text, data)
	return r
}

// asked returns the method of the client's request.
func asked(x *Exchange, d *Decision) string {
	if x.Asked.Method != "" {
		return x.Asked.Method
	}
	return d.Message.Method
}

// MetaRefusal is the member of a result's _meta that has the reason of a refusal
// and the id of its exchange.
const MetaRefusal = "sallyport.dev/refusal"

// toolError is a tool's result that says no.
func toolError(x *Exchange, d *Decision, text string, data json.RawMessage) json.RawMessage {
	b := make([]byte, 0, 320)
	b = append(b, '{')
	if x.Revision.Modern() {
		b = append(b, `"resultType":"complete",`...) // required there
	}
	if d.Hint != "" {
		text += " " + d.Hint
	}
	b = append(b, `"content":[{"type":"text","text":`...)
	b = mcp.AppendQuote(b, text)
	b = append(b, `}],"isError":true,"_meta":{"`+MetaRefusal+`":`...)
	b = append(b, data...)
	return append(b, "}}"...)
}

// answered returns the id of the client's request that the refusal answers,
// nil where nobody waits for a JSON-RPC answer. Ids of a server's requests
// never count: the client would match them with its own.
func answered(x *Exchange, d *Decision) json.RawMessage {
	switch {
	case x.Asked.ID != nil:
		return x.Asked.ID
	case d.Direction != mcp.ToServer:
		return nil
	case d.fault != nil:
		return d.fault.ID
	case d.Message.Kind == mcp.Request:
		return d.Message.ID
	}
	return nil
}

// unread reports whether nobody has looked at a request of the client's by then,
// so that its id is not known.
func unread(x *Exchange, d *Decision) bool {
	return d.Direction == mcp.ToServer && x.Asked.Method == "" && d.fault == nil && d.Message.Method == "" && d.Message.Raw == nil
}

// eraCode keeps the codes that only 2026-07-28 defines from other clients, who
// probe for a server's era by them.
func eraCode(code int, x *Exchange) int {
	if code <= mcp.CodeHeaderMismatch && code >= mcp.CodeUnsupportedVersion && !x.Revision.Modern() {
		return mcp.CodeInvalidRequest
	}
	return code
}

// withoutID is the HTTP status that says no to a notification, a client's
// response or a bodyless request, where a JSON-RPC error would not be read.
func withoutID(code int, k mcp.Kind) int {
	switch {
	case code == mcp.CodeMethodNotFound && k == mcp.Transport:
		return 405 // clients take it for "not offered here" and go on
	case code == mcp.CodeMethodNotFound, code == mcp.CodeInvalidParams:
		return 400
	}
	return 403
}

// refusalData is the machine-readable part: the stable reason, and the id to
// quote to an operator.
func refusalData(x *Exchange, d *Decision) json.RawMessage {
	b := append(make([]byte, 0, 128), `{"reason":`...)
	b = mcp.AppendQuote(b, string(d.Reason))
	b = append(b, `,"exchange":`...)
	b = mcp.AppendQuote(b, x.ID)
	if d.Hint != "" {
		b = append(b, `,"hint":`...)
		b = mcp.AppendQuote(b, d.Hint)
	}
	if t := d.Ticket; t != nil {
		b = append(b, `,"ticket":{"id":`...)
		b = mcp.AppendQuote(b, t.ID)
		b = append(b, `,"text":`...)
		b = mcp.AppendQuote(b, t.Text)
		if t.URL != "" {
			b = append(b, `,"url":`...)
			b = mcp.AppendQuote(b, t.URL)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}
