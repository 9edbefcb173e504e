package guard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/sallyport/sallyport/mcp"
)

// Tickets makes tickets for held messages. The same call of the same caller has
// the same ticket as long as the process lives, and nobody outside can guess it. So
// has the same answer to the same question of a server.
type Tickets struct{ key [32]byte }

// NewTickets returns a maker of tickets.
func NewTickets() *Tickets {
	t := new(Tickets)
	_, _ = rand.Read(t.key[:]) // it never fails
	return t
}

// canonicalUpTo is the longest argument whose spelling does not matter.
const canonicalUpTo = 64 << 10

// For returns the ticket of a message, which is bound to who sends it, to which
// server, and to what it asks for.
func (t *Tickets) For(x *Exchange, m *mcp.Message, text string) *Ticket {
	b := AppendText(x.AppendCaller(nil), x.Principal.Agent)
	b = AppendText(AppendText(AppendText(b, x.Server.Name), m.Method), m.Name)
	args, _ := mcp.Member(m.Params, "arguments")
	known := false
	if len(args) <= canonicalUpTo {
		b, known = mcp.AppendCanonical(b, args)
	}
	if !known {
		b = append(b, args...)
	}
	if m.Kind == mcp.Response { // to the question that the id names
		b = AppendText(AppendText(b, string(m.ID)), string(m.Result))
	}
	// What names the question in the requests of the modern era, and what a completion
	// is asked about.
	for _, key := range [...]string{"inputResponses", "requestState", "argument", "context"} {
		if v, ok := mcp.Member(m.Params, key); ok {
			b = AppendText(AppendText(b, key), string(v))
		}
	}
	h := hmac.New(sha256.New, t.key[:])
	h.Write(b)
	return &Ticket{ID: hex.EncodeToString(h.Sum(nil)[:16]), Text: text}
}
