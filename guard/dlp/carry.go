package dlp

import (
	"bytes"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// A server may report a text piece by piece, in notifications that each look
// harmless. What the last ones of the same progress, log or task said is kept
// for the length of the exchange, and read together with the next.
const (
	carried = 512 // bytes that are kept of a text
	streams = 16  // texts that are kept of one exchange; then the oldest goes
)

// tail is the end of what one progress, log or task has said.
type tail struct {
	of   string
	text []byte
}

var tails = guard.NewSlot[[]tail]()

// spoken returns which text a notification to the client continues, and the key
// of the member that holds the piece; of is empty for every other message.
func spoken(m *mcp.Message) (of, key string) {
	if m.Direction != mcp.ToClient || m.Params == nil {
		return "", ""
	}
	var by string
	switch m.Method {
	case "notifications/progress":
		by, key = "progressToken", "message"
	case "notifications/message":
		by, key = "logger", "data"
	case "notifications/tasks", "notifications/tasks/status":
		by, key = "taskId", "statusMessage"
	default:
		return "", ""
	}
	id, _ := mcp.Member(m.Params, by)
	return m.Method + " " + string(id), key
}

// carry appends what a piece completes that earlier pieces began. They are gone
// to the client already; what comes now is acted on as the whole would be.
func (g *dlp) carry(places []place, s *scan, x *guard.Exchange, m *mcp.Message, t *wire.Text, of string) []place {
	kept, _ := tails.Get(x)
	at := -1
	for i := range kept {
		if kept[i].of == of {
			at = i
		}
	}
	if at < 0 {
		if len(kept) == streams {
			kept = append(kept[:0], kept[1:]...)
		}
		kept = append(kept, tail{of: of})
		at = len(kept) - 1
	}
	k := &kept[at]
	before := len(k.text)
	whole := append(k.text, t.Value...)
	if before > 0 {
		s.found = s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: whole, Key: t.Key, Parent: t.Parent})
		for i := range s.found {
			f := &s.found[i]
			a := g.decide(x, m, f)
			if f.Start >= before || f.End <= before || a == allow {
				continue
			}
			p := place{Finding: *f, action: a, kind: t.Kind, value: bytes.Clone(whole[f.Start:f.End]), pointer: t.Pointer()}
			p.start, p.end = t.Span(0, f.End-before)
			p.begun = true
			places = append(covered(places, &p), p)
		}
	}
	k.text = append([]byte(nil), whole[max(0, len(whole)-carried):]...)
	tails.Set(x, kept)
	return places
}

// covered takes away the places that overlap p, because a piece of a value can
// look like another value, and has p cover what they did. A block stays.
func covered(places []place, p *place) []place {
	out := places[:0]
	for _, o := range places {
		if o.start < p.end && p.start < o.end && o.action != block {
			p.start, p.end, p.action = min(p.start, o.start), max(p.end, o.end), max(p.action, o.action)
			continue
		}
		out = append(out, o)
	}
	return out
}
