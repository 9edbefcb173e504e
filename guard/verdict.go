package guard

import (
	"context"

	"github.com/sallyport/sallyport/mcp"
)

// Action is what may happen to a message.
type Action uint8

// The actions. The zero Action refuses, so that a forgotten answer is a no.
const (
	Deny  Action = iota // the message goes no further
	Hold                // refused for now: the verdict's ticket says what the client can wait for
	Allow               // the message, with its edits, goes on
)

// String returns "deny", "hold" or "allow".
func (a Action) String() string {
	switch a {
	case Hold:
		return "hold"
	case Allow:
		return "allow"
	}
	return "deny"
}

// Verdict is one guard's answer about one message. The zero Verdict refuses.
type Verdict struct {
	Action      Action
	Reason      Reason       // required unless Action is Allow; declared in the guard's Spec or the core list
	Detail      string       // for operators: receipt and log; never sent to the client
	Hint        string       // for the client, with a refusal: what it can do about it; one short sentence of the operator's, or empty
	Edits       []mcp.Edit   // require Allow; later guards see the edited message
	Obligations []Obligation // carried out by the host
	Ticket      *Ticket      // with Hold only

	// Result, with the Deny of a tools/call or of what answers it, says that the
	// client gets it as a tool result with isError rather than as a JSON-RPC error:
	// models read those and correct what they asked for. Reason and Hint are its
	// text.
	Result bool

	// Measures are what the guard counted, for its entry in the receipt, whatever
	// the verdict and the mode: money, redactions, tokens.
	Measures []Measure

	// Sensitive says that content of the message must not be kept in clear: the
	// guard found in it what it would not let pass as it is, or a secret.
	Sensitive bool

	// Principal, with the Allow of an admission only, is who the guard found is
	// calling. Guards after it, and every receipt, see it in the exchange.
	Principal *Principal

	// Pending, when set, is the rest of the inspection: it may block on
	// something outside the process, and everything else in the verdict is
	// ignored. The host decides where it runs and cancels its context at the
	// guard's timeout. Exchange and message may be used until then, and not
	// once the context is done.
	Pending func(ctx context.Context) (Verdict, error)
}

// Pass returns the verdict that lets a message through unchanged.
func Pass() Verdict { return Verdict{Action: Allow} }

// Refuse returns the verdict that stops a message for reason; detail is for
// operators only.
func Refuse(reason Reason, detail string) Verdict { return Verdict{Reason: reason, Detail: detail} }

// Measure is a number that stands in receipts. Name is of a closed vocabulary
// and written as a label is; a receipt has it once for each guard.
type Measure struct {
	Name  string
	Value int64
}

// ObligationKind says what a host has to do beside forwarding or refusing.
type ObligationKind uint8

// The obligations. The chain takes one that no host could carry out for a
// [Defect] of the guard, and a host that cannot carry one out refuses the
// message: an obligation is never dropped.
const (
	SetHeader      ObligationKind = iota + 1 // with an allowed message to the server: request header Name, in lower case, becomes Value; of several the last counts
	AddLabel                                 // Name, of a closed vocabulary, labels the exchange for receipts and later guards
	RetryAfter                               // with a refusal: Value is whole seconds until a retry can help
	Challenge                                // with a refusal: Value becomes the WWW-Authenticate header
	Constrain                                // with an allowed message to the server: the server gets Value, a JSON object, signed together with the body that reaches it
	Raise                                    // with any verdict: an event of the kind Name, in snake_case, of a closed vocabulary; Value says to operators what happened. It outlives a later refusal
	ResponseHeader                           // with any verdict about a message to the server: header Name of the reply to the client becomes Value; of several the last counts. It outlives a later refusal
	Mark                                     // with any verdict: Value is fingerprints of values in the message, 11 characters each, with spaces between; Name is values, or values_cut where there are more. Receipts list them
	Cite                                     // with any verdict about a message to the server: label Name is on it because of an earlier exchange; Value is that exchange's id, a space and its server. Receipts list it
)

// Obligation is one duty that comes with a verdict.
type Obligation struct {
	Kind  ObligationKind
	Name  string
	Value string
}

// Ticket names what a held message waits for. A retry that carries it can pass.
type Ticket struct {
	ID   string // opaque, unguessable
	Text string // what the person in front of the client should know
	URL  string // where it can be decided; empty when nowhere
}
