package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/mcp"
)

// Mode says whether a guard's verdicts count.
type Mode uint8

// The modes. A shadowed guard is asked and journaled, and its answer ignored.
const (
	Enforce Mode = iota
	Shadow
	Off
)

// String returns the mode as configuration spells it.
func (m Mode) String() string {
	if names := [...]string{"enforce", "shadow", "off"}; int(m) < len(names) {
		return names[m]
	}
	return "unknown"
}

// Member is one guard in its place in a chain.
type Member struct {
	Spec    Spec
	Guard   Guard
	Mode    Mode
	OnError Action        // Deny (the zero value) or Allow: what an error that is no [Defect] means
	Timeout time.Duration // for pending verdicts; must be positive
}

// Host is what a chain needs from whoever runs it. A chain starts no goroutine
// and no timer and reads no clock of its own.
type Host struct {
	Now     func() time.Time
	Decoder *mcp.Decoder // re-reads messages that a guard edited

	// Await runs a pending verdict and gives up after limit, with an error
	// that wraps context.DeadlineExceeded, even when wait ignores its context.
	Await func(ctx context.Context, limit time.Duration, wait func(context.Context) (Verdict, error)) (Verdict, error)

	// Reveals reports whether a text that somebody made up, to name something or to
	// tell messages apart, has a secret or personal data in it, so that it is written
	// down nowhere. It is asked from many goroutines; nil takes all for harmless.
	Reveals func(text string) bool

	// AsResults has requests refused with HTTP 200 where the status of the reason
	// is 429 or 5xx, of which some clients do not read the body.
	AsResults bool

	// Budget is how long the guards whose Spec Scans may look into one message, all
	// together; 0: as long as they take. OverBudget, Deny or Allow, is what happens
	// to a message that takes longer.
	Budget     time.Duration
	OverBudget Action

	// Policy names the policy that the guards decide by, for receipts; empty
	// when there is none.
	Policy string
	// PolicyFor names it for a caller, where not all meet the same; nil: they do.
	PolicyFor func(*Principal) string

	// Seal signs what guards bind a message to the server by: the Values of
	// their Constrain obligations. m is the message as it goes upstream. It
	// returns the header that carries the signature. A host without Seal
	// refuses such messages.
	Seal func(x *Exchange, m *mcp.Message, claims []string) (header, value string, err error)

	// Stamp returns what the host itself writes into a message to the server
	// that all guards allowed, such as its place in a trace; nil: nothing. It is not
	// asked where the host can forward nothing but the original.
	Stamp func(x *Exchange, m *mcp.Message) []mcp.Edit

	// Challenge completes the WWW-Authenticate header of a refusal, which says
	// what would do, by what only the host knows: where to get it. Nil leaves it as
	// it is.
	Challenge func(x *Exchange, challenge string) string

	// Observers learn of every decision, in order, before it takes effect. An
	// error of one turns an allow into a refusal with ReceiptUnavailable, and
	// those after it learn of that refusal; so the ones that can fail go first.
	Observers []Observer
}

// Observer is told of every decision: receipts, metrics, logs. m is the
// message as it came, nil where none could be decoded. Observe is called
// concurrently for different exchanges, on the data path. It must not keep or
// change x, m or d.
type Observer interface {
	Observe(ctx context.Context, x *Exchange, m *mcp.Message, d *Decision) error
}

// Witness is an Observer that also learns how exchanges ended, after the guards
// have settled. Ended is called once for each exchange, off the way of its
// messages. It must not keep x or o.
type Witness interface {
	Observer
	Ended(ctx context.Context, x *Exchange, o *Outcome)
}

// Chain is an immutable ordered list of guards. Its methods are safe for
// concurrent use; one exchange is only ever in one call at a time.
type Chain struct {
	host    Host
	members []Member
	reasons map[Reason]ReasonInfo
	byTopic [2]map[string][]int // which members want a topic, for the methods of the protocol
	admit   []int
	settle  []int
	witness []Witness
}

// New builds a chain. Members whose mode is Off are left out.
func New(host Host, members ...Member) (*Chain, error) {
	if host.Now == nil || host.Decoder == nil || host.Await == nil {
		return nil, errors.New("guard: new chain: host lacks Now, Decoder or Await")
	}
	c := &Chain{host: host, reasons: make(map[Reason]ReasonInfo)}
	for _, r := range CoreReasons() {
		c.reasons[r.Reason] = r
	}
	for _, o := range host.Observers {
		if w, ok := o.(Witness); ok {
			c.witness = append(c.witness, w)
		}
	}
	for _, m := range members {
		if m.Mode == Off {
			continue
		}
		if err := m.validate(); err != nil {
			return nil, fmt.Errorf("guard: new chain: member %q: %w", m.Spec.Name, err)
		}
		for _, r := range m.Spec.Reasons {
			c.reasons[r.Reason] = r
		}
		i := len(c.members)
		c.members = append(c.members, m)
		if _, ok := m.Guard.(Admitter); ok {
			c.admit = append(c.admit, i)
		}
		if _, ok := m.Guard.(Settler); ok {
			c.settle = append([]int{i}, c.settle...)
		}
	}
	for _, d := range []mcp.Direction{mcp.ToServer, mcp.ToClient} {
		c.byTopic[d] = make(map[string][]int)
		for _, topic := range knownTopics() {
			c.byTopic[d][topic] = c.wanting(topic, d)
		}
	}
	return c, nil
}

// validate reports why a chain could not use m as the operator means it.
func (m *Member) validate() error {
	_, admits := m.Guard.(Admitter)
	switch {
	case m.Guard == nil || m.Spec.Name == "":
		return errors.New("lacks a guard or a name")
	case m.Timeout <= 0:
		return errors.New("lacks a timeout")
	case m.Mode > Off || m.OnError != Deny && m.OnError != Allow:
		return errors.New("mode or on_error is none that exists")
	case len(m.Spec.Wants) == 0 && !admits:
		return errors.New("wants no message and admits no request, so it would never be asked")
	}
	return nil
}

func knownTopics() []string {
	topics := []string{mcp.MethodListen, mcp.MethodClose, TopicResponse}
	for _, m := range mcp.Methods() {
		topics = append(topics, m.Name)
	}
	return topics
}

// wanting returns the members to ask, in the order to ask them: list order
// towards the server, reverse order towards the client.
func (c *Chain) wanting(topic string, d mcp.Direction) []int {
	var out []int
	for i := range c.members {
		if d == mcp.ToClient {
			i = len(c.members) - 1 - i
		}
		for _, w := range c.members[i].Spec.Wants {
			if w.Matches(topic, d) {
				out = append(out, i)
				break
			}
		}
	}
	return out
}

// Wants reports whether any guard of the chain looks at messages of this
// direction. A host asks its proxy for no more than that.
func (c *Chain) Wants(d mcp.Direction) bool {
	for i := range c.members {
		for _, w := range c.members[i].Spec.Wants {
			if w.Direction == d {
				return true
			}
		}
	}
	return false
}

// Informs reports whether some guard may give the reply headers. A host then
// has to see the beginning of each reply.
func (c *Chain) Informs() bool {
	for i := range c.members {
		if c.members[i].Spec.Informs {
			return true
		}
	}
	return false
}

// Members returns the guards of the chain in list order. The caller must not
// change them.
func (c *Chain) Members() []Member { return c.members }

// Info returns what is known of a reason. Unknown reasons get the entry of
// GuardError, because only a broken guard can produce one.
func (c *Chain) Info(r Reason) ReasonInfo {
	if info, ok := c.reasons[r]; ok {
		return info
	}
	return c.reasons[GuardError]
}
