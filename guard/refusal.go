package guard

import (
	"encoding/json"
	"net/http"

	"github.com/sallyport/sallyport/mcp"
)

// Refusal is a refusal in the words of the protocol: what the client gets.
type Refusal struct {
	Status     int    // HTTP status
	Body       []byte // one JSON-RPC error; its media type is application/json
	RetryAfter string // seconds, for the Retry-After header; empty for none
	Challenge  string // WWW-Authenticate header; empty for none
}

// Refusal renders a decision that is not Allow. The error carries the id of
// the client's request byte for byte where one is known, because clients drop
// the whole connection over an error that they cannot match.
func (c *Chain) Refusal(x *Exchange, d *Decision) Refusal {
	info := c.Info(d.Reason)
	status, code, text := info.Status, info.Code, info.Text
	id := x.Asked.ID
	var data json.RawMessage
	if f := d.fault; f != nil {
		if f.Status != 0 {
			status = f.Status
		}
		if f.Code != 0 {
			code = f.Code
		}
		if id == nil && d.Direction == mcp.ToServer {
			id = f.ID
		}
		data = f.Data
	} else if id == nil && d.Direction == mcp.ToServer && d.Message.Kind == mcp.Request {
		id = d.Message.ID
	}
	if id == nil && status < http.StatusBadRequest {
		// Nobody waits for a JSON-RPC answer (a notification, a client's
		// response, a GET), so the HTTP status has to say no.
		status = http.StatusForbidden
		if code == mcp.CodeMethodNotFound || code == mcp.CodeInvalidParams {
			status = http.StatusBadRequest
		}
	}
	r := Refusal{Status: status}
	for _, o := range d.Obligations {
		switch o.Kind {
		case RetryAfter:
			r.RetryAfter = o.Value
		case Challenge:
			r.Challenge = o.Value
		}
	}
	if data == nil {
		data = refusalData(x, d)
	}
	r.Body = mcp.AppendError(make([]byte, 0, 256), id, code, text, data)
	return r
}

// refusalData is the machine-readable part: the stable reason, and the id to
// quote to an operator.
func refusalData(x *Exchange, d *Decision) json.RawMessage {
	b := append(make([]byte, 0, 128), `{"reason":`...)
	b = mcp.AppendQuote(b, string(d.Reason))
	b = append(b, `,"exchange":`...)
	b = mcp.AppendQuote(b, x.ID)
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
