package audit

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Content says how much of a message's content its receipt holds, for a replay under
// another policy. Values are as they came, whatever guards made of them.
type Content string

// What may be kept.
const (
	NoContent Content = "nothing"
	Arguments Content = "arguments"
	Params    Content = "params"
)

// maxKept bounds what is kept of one message.
const maxKept = 64 << 10

// sensitive reports whether content of m must not be kept in clear, by what the
// registry says of the tool or by what a guard found.
func sensitive(x *guard.Exchange, m *mcp.Message, d *guard.Decision) bool {
	for i := range d.Journal {
		if d.Journal[i].Sensitive {
			return true
		}
	}
	if m.Method != "tools/call" {
		return false
	}
	t, known := x.Server.Tool(m.Name)
	return known && t.Sensitive
}

// kept writes the arguments or params of a request or notification. What is
// sensitive or too large is left out; null stands for what the message does not
// have.
func (e *encoder) kept(b []byte, x *guard.Exchange, m *mcp.Message, d *guard.Decision) []byte {
	name, value := "params", m.Params
	switch {
	case m.Method == "" || e.Keep != Arguments && e.Keep != Params:
		return b
	case e.Keep == Arguments:
		name = "arguments"
		value, _ = mcp.Member(m.Params, "arguments")
	}
	if len(value) > maxKept || sensitive(x, m, d) {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), `":`...)
	if value == nil {
		return append(b, "null"...)
	}
	line := bytes.NewBuffer(b)
	if json.Compact(line, value) != nil { // a receipt is one line
		return append(b, "null"...)
	}
	return line.Bytes()
}

// tool writes what the registry says of the tool that is called.
func tool(b []byte, x *guard.Exchange, m *mcp.Message) []byte {
	if m.Method != "tools/call" {
		return b
	}
	t, known := x.Server.Tool(m.Name)
	if !known {
		return b
	}
	b = append(b, `,"tool":{"facts":[`...)
	first := true
	for _, f := range [...]struct {
		name string
		is   bool
	}{{"sensitive", t.Sensitive}, {"read_only", t.ReadOnly}, {"destructive", t.Destructive}, {"idempotent", t.Idempotent}, {"external", t.External}, {"financial", t.Financial}} {
		if !f.is {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, '"'), f.name...), '"')
	}
	b = append(b, ']')
	b = field(b, "risk", t.Risk)
	b = field(b, "data_classification", t.Classification)
	b = field(b, "clearance", t.Clearance)
	return append(b, '}')
}

func moment(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), `":"`...)
	return append(t.UTC().AppendFormat(b, time.RFC3339Nano), '"')
}
