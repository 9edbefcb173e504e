package policy

import (
	"context"
	"encoding/json"

	"github.com/sallyport/sallyport/guard"
)

// Step is one of the two questions that make a decision.
type Step uint8

// The steps. A message passes only if both are answered with yes, and Call is
// only asked after a yes to Access.
const (
	// Access: may this principal use this target at all? It is asked for calls
	// and for every item of a list alike, and never shown arguments or params,
	// so that a list shows exactly what can be used.
	Access Step = iota
	// Call: may it be used like this, now?
	Call
)

// String returns "access" or "call".
func (s Step) String() string {
	if s == Call {
		return "call"
	}
	return "access"
}

// Decider answers for one revision of a policy. The guard calls it from many
// goroutines. It does not keep in beyond the call, and it does not wait for
// anything outside the process. The Decision may be shared: nobody changes it.
// An error means that no answer was reached.
type Decider interface {
	Decide(ctx context.Context, s Step, in *Input) (*Decision, error)

	// Masks reports whether any decision may carry Mask or Cap.
	Masks() bool
	// Revision names the policy and its exact content, for receipts.
	Revision() string
}

// Decision is the answer of a policy. The zero Decision refuses.
type Decision struct {
	Allow  bool
	Reason guard.Reason // of a refusal; policy_denied when empty
	Detail string       // for operators
	Hint   string       // for the caller: how access is obtained
	Challenge
	Obligations
}

// Challenge says what a caller can bring to be allowed.
type Challenge struct {
	Scopes []string // all that are needed, at once
	MaxAge int      // seconds that the authentication may be old
	ACR    []string // authentication contexts, best first

	fresh bool // the guard's own: a fresh authentication is among what is needed
}

// Obligations are the conditions of a yes.
type Obligations struct {
	Labels    []string
	Approval  string // a person must approve: what they should know; empty for no approval
	Set       []Set
	Clamp     []Clamp
	Mask      []Mask
	Cap       []Cap
	Constrain json.RawMessage // object of claims that the server gets signed; nil for none
}

// Set gives an argument a value, whatever the caller said.
type Set struct {
	Path  string // JSON pointer from the arguments
	Value json.RawMessage
}

// Clamp keeps a number among the arguments within bounds.
type Clamp struct {
	Path     string
	Min, Max *float64
	Default  *float64 // where the caller gives none; nil leaves it out
}

// Mask replaces values in results. A step * of its path is every member or
// element.
type Mask struct {
	Path string          // JSON pointer from the result
	With json.RawMessage // in the place of each value; nil for "[masked]"
}

// Cap keeps the first items of an array in results.
type Cap struct {
	Path  string
	Items int
}

// IsZero reports whether nothing is asked.
func (o *Obligations) IsZero() bool {
	return len(o.Labels) == 0 && o.Approval == "" && len(o.Set) == 0 && len(o.Clamp) == 0 &&
		len(o.Mask) == 0 && len(o.Cap) == 0 && o.Constrain == nil
}
