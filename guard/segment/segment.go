package segment

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// status is what came of a place.
type status uint8

const (
	unsigned status = iota
	invalid
	verified
)

// finding is a place that a model reads, and whose words they are.
type finding struct {
	pointer string
	about   segment.About // without arguments
	late    bool          // see place
	status  status
	by, why string // who signed, why it does not count
	digest  string // of what was verified
}

// Slots of an exchange: what the request's arguments were, and what was found in
// the message that the guard saw last.
var (
	asked = guard.NewSlot[json.RawMessage]()
	task  = guard.NewSlot[string]() // that the request named
	found = guard.NewSlot[[]finding]()
)

// Inspect remembers what is asked, and verifies what is answered.
func (g *verifier) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToServer && (m.Method == "tasks/result" || m.Method == "tasks/get") {
		task.Set(x, strings.Clone(m.Name)) // in the server's words; the exchange has the client's
		return guard.Pass(), nil
	}
	if m.Direction == mcp.ToServer {
		// Signatures may be for these arguments alone; the digest is enough, but
		// takes longer than a copy, and most answers are not signed.
		if arguments, ok := mcp.Member(m.Params, "arguments"); ok && m.Kind == mcp.Request && len(arguments) <= mostArguments && g.hasSigner(&x.Server) {
			asked.Set(x, append(json.RawMessage(nil), arguments...))
		}
		return guard.Pass(), nil
	}
	list, governed := g.judge(x, m)
	if list != nil {
		found.Set(x, list)
	} else if old, ok := found.Get(x); ok && old != nil {
		found.Set(x, nil)
	}
	return g.verdict(x, m, list, governed), nil
}

// mostArguments is how long arguments may be that signatures are bound to.
const mostArguments = 64 << 10

// judge looks at all places of a message. governed are those that have to be
// verified, or whose being unsigned is told.
func (g *verifier) judge(x *guard.Exchange, m *mcp.Message) (list []finding, governed bool) {
	signed, checked := g.hasSigner(&x.Server), 0
	v := segment.Verifier{Keys: g.find(&x.Server), Lifetime: g.Lifetime, Skew: g.Skew, Now: g.now}
	for _, p := range g.places(x, m) {
		whole := g.check(&v, x, p, &checked)
		all := []finding{whole}
		if whole.status != verified {
			blocks, every := g.blocks(&v, x, p, &checked)
			if every && whole.status != invalid {
				all = blocks // nothing is left that the whole would have to speak for
			} else {
				all = append(all, blocks...)
			}
		}
		must := g.required(x.Server.Name, &p.about, p.late) || signed && spoken(p.about.Method) && g.Unverified != "ignore"
		if must {
			governed = true
		} else if all[0].pointer == p.pointer && all[0].status == unsigned && all[0].why == "" {
			all = all[1:] // there is nothing to tell
		}
		list = append(list, all...)
	}
	return list, governed
}
