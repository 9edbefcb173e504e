package loop

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// place is where a call stands among those that it came from, as its trace
// context says (W3C Trace Context; MCP carries the same in _meta). All of it is
// the caller's word: it can make a caller's own calls look like more, or hide
// them, and budgets hold either way.
type place struct {
	trace  string // 32 hexadecimal digits; empty for none
	depth  int    // of the calls around it
	parent string // the call around it, by the name that this gateway gave it
	header bool   // the context is in the request's headers
}

// member is this gateway's in tracestate: the depth of a call and a name for it.
// Servers pass it on with calls of their own, so that depth needs no memory.
const member = "sallyport="

// where reads the trace context of a message.
func where(x *guard.Exchange, m *mcp.Message) place {
	var p place
	if x.Headers != nil {
		if v, n := x.Headers.Get("traceparent"); n == 1 {
			if p.trace = traceID(v); p.trace != "" {
				p.header = true
				p.within(stateOf(x))
			}
		}
	}
	meta := m.Meta()
	if meta == nil {
		return p
	}
	if own := traceID(mcp.Text(meta, "traceparent")); own != "" {
		if p.trace == "" {
			p.trace = own
		}
		p.within(mcp.Text(meta, "tracestate"))
	}
	return p
}

func stateOf(x *guard.Exchange) string {
	v, n := x.Headers.Get("tracestate")
	if n != 1 {
		return "" // several lines are one list, of which we would see the first
	}
	return v
}

// within notes the call around, if a state names it; the deepest counts.
func (p *place) within(state string) {
	for item := range strings.SplitSeq(state, ",") {
		value, ok := strings.CutPrefix(strings.Trim(item, " \t"), member)
		if !ok {
			continue
		}
		depth, name, _ := strings.Cut(value, ".")
		if n, err := strconv.Atoi(depth); err == nil && n > p.depth && n <= 1000 && len(name) == 16 && isHex(name) {
			p.depth, p.parent = n, name
		}
	}
}

const maxState = 512 // W3C Trace Context, 3.3.1.5: what everybody passes on

// onward is the tracestate of the call as it goes to the server, so that calls
// which come of it say so.
func (p *place) onward(x *guard.Exchange) string {
	name := x.ID
	if len(name) < 16 || !isHex(name[:16]) {
		return ""
	}
	b := strconv.AppendInt(append(make([]byte, 0, 64), member...), int64(p.depth+1), 10)
	b = append(append(b, '.'), name[:16]...)
	items := 1
	for item := range strings.SplitSeq(stateOf(x), ",") {
		item = strings.Trim(item, " \t")
		if item == "" || strings.HasPrefix(item, member) || !isItem(item) {
			continue
		}
		if items++; items > 32 || len(b)+1+len(item) > maxState {
			break
		}
		b = append(append(b, ','), item...)
	}
	return string(b)
}

func isItem(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// traceID returns the trace id of a traceparent, if that is one.
func traceID(v string) string {
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' || !isHex(v[:2]) || v[:2] == "ff" || len(v) > 55 && (v[:2] == "00" || v[55] != '-') {
		return ""
	}
	id, span := v[3:35], v[36:52]
	if !isHex(id) || !isHex(span) || strings.Trim(id, "0") == "" || strings.Trim(span, "0") == "" {
		return ""
	}
	return id
}

func isHex(s string) bool {
	if strings.ToLower(s) != s {
		return false
	}
	var room [32]byte
	_, err := hex.Decode(room[:], []byte(s))
	return err == nil
}
