package guard

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/mcp"
)

// Decision is what a chain came to about one message. The zero Decision
// refuses.
type Decision struct {
	Action      Action
	Reason      Reason // empty when Action is Allow
	Guard       string // who refused; empty for the decoder and the host
	Detail      string // for operators
	Hint        string // for the client
	Direction   mcp.Direction
	Message     mcp.Message // what may go on; the untouched original unless Edited
	Edited      bool
	Obligations []Obligation
	Ticket      *Ticket
	Result      bool     // a refusal that the client of a tool gets as a result with isError
	Values      []string // fingerprints of values in the message, of which others may have the same
	ValuesCut   bool     // there are more
	Sources     []Source // earlier exchanges that the message may carry something of
	Events      []Event  // what guards raised, in order; the first message's begin with those of its admission
	Journal     []Entry  // every verdict in the order given; the first message's begins with those of its admission
	Policy      string   // revision of the policy that the caller meets
	At          time.Time
	Took        time.Duration

	fault *mcp.Fault // when the message itself was at fault

	hidden bool // the message's id must not be written down
	veiled bool // its name or id shows what must not be kept in clear
}

// Event is something that a guard saw and people should learn of, whatever
// became of the message.
type Event struct {
	Guard  string
	Kind   string // snake_case, of a closed vocabulary
	Detail string // for operators
}

// Source is an earlier exchange because of which a message has a label.
type Source struct {
	Label    string
	Exchange string
	Server   string
}

func sourceOf(o *Obligation) Source {
	exchange, server, _ := strings.Cut(o.Value, " ")
	return Source{o.Name, exchange, server}
}

// Entry is one guard's verdict in the journal.
type Entry struct {
	Guard  string
	Mode   Mode
	Action Action
	Reason Reason
	Detail string
	Err    error // the guard reached no answer; Action says what on_error made of that
	Took   time.Duration
	Labels int // how many of the exchange's labels there were when the guard was asked

	Measures  []Measure
	Sensitive bool
}
