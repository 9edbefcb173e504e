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
func (m Mode) String() string { return [...]string{"enforce", "shadow", "off"}[m] }

// Member is one guard in its place in a chain.
type Member struct {
	Spec    Spec
	Guard   Guard
	Mode    Mode
	OnError Action        // Deny (the zero value) or Allow: what an error of the guard means
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

	// Observers learn of every decision, in order, before it takes effect. An
	// error turns the decision into a refusal with ReceiptUnavailable. m is
	// nil where no message could be decoded.
	Observers []Observer
}

// Observer is told of every decision: receipts, metrics, logs. It must not
// keep x, m or d.
type Observer interface {
	Observe(ctx context.Context, x *Exchange, m *mcp.Message, d *Decision) error
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
	for _, m := range members {
		if m.Mode == Off {
			continue
		}
		if m.Guard == nil || m.Spec.Name == "" || m.Timeout <= 0 {
			return nil, fmt.Errorf("guard: new chain: member %q lacks a guard, a name or a timeout", m.Spec.Name)
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

// Admit asks the guards that decide from headers alone. Only refusals are
// observed: an admitted request is followed by a message, which is.
func (c *Chain) Admit(ctx context.Context, x *Exchange) Decision {
	d := Decision{Direction: mcp.ToServer, At: c.host.Now()}
	c.ask(ctx, x, nil, &d, c.admit)
	d.Took = c.host.Now().Sub(d.At)
	if d.Action != Allow {
		c.observe(ctx, x, nil, &d)
	}
	return d
}

// Run takes one message through the guards that want it and returns what is to
// happen to it. The decision's message shares memory with m.
func (c *Chain) Run(ctx context.Context, x *Exchange, m *mcp.Message) Decision {
	d := Decision{Direction: m.Direction, At: c.host.Now(), Message: *m}
	topic := x.Topic(m)
	steps, known := c.byTopic[m.Direction][topic]
	if !known {
		steps = c.wanting(topic, m.Direction) // an extension method of the configuration
	}
	c.ask(ctx, x, &d.Message, &d, steps)
	d.Took = c.host.Now().Sub(d.At)
	c.observe(ctx, x, m, &d)
	return d
}

// Reject records a refusal that the host itself has to make: input that does
// not decode, an unknown server, a deadline. m is nil when there is no message.
func (c *Chain) Reject(ctx context.Context, x *Exchange, m *mcp.Message, dir mcp.Direction, f *mcp.Fault) Decision {
	d := Decision{Direction: dir, At: c.host.Now(), Reason: Reason(f.Reason), Detail: f.Detail, fault: f}
	c.observe(ctx, x, m, &d)
	return d
}

// Settle tells the guards how the exchange ended, once: later calls do nothing.
func (c *Chain) Settle(ctx context.Context, x *Exchange, o Outcome) {
	if x.settled {
		return
	}
	x.settled = true
	for _, i := range c.settle {
		settleOne(ctx, c.members[i].Guard.(Settler), x, o)
	}
}

// settleOne keeps a panic in one guard from robbing the others of the news.
func settleOne(ctx context.Context, s Settler, x *Exchange, o Outcome) {
	defer func() { _ = recover() }()
	s.Settle(ctx, x, o)
}

func (c *Chain) observe(ctx context.Context, x *Exchange, m *mcp.Message, d *Decision) {
	for _, o := range c.host.Observers {
		if err := o.Observe(ctx, x, m, d); err != nil && d.Action == Allow {
			d.Action, d.Reason, d.Guard = Deny, ReceiptUnavailable, ""
			d.Detail = err.Error()
		}
	}
}
