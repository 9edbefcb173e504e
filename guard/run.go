package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/sallyport/sallyport/mcp"
)

// Admit asks the guards that decide from headers alone. Only refusals are
// observed: an admitted request is followed by a message, whose decision takes
// over the journal.
func (c *Chain) Admit(ctx context.Context, x *Exchange) Decision {
	d := Decision{Direction: mcp.ToServer, At: c.host.Now()}
	if len(c.admit) > 0 {
		d.Journal = make([]Entry, 0, len(c.admit)+len(c.members)) // room for the message's entries
	}
	c.ask(ctx, x, nil, &d, c.admit)
	d.Policy = c.policy(x) // only now it is known who calls
	d.Took = c.host.Now().Sub(d.At)
	if d.Action != Allow {
		c.observe(ctx, x, nil, &d)
		return d
	}
	x.admission, x.raised = d.Journal, d.Events
	return d
}

// Run takes one message through the guards that want it and returns what is to
// happen to it. The decision's message shares memory with m.
func (c *Chain) Run(ctx context.Context, x *Exchange, m *mcp.Message) Decision {
	d := Decision{Direction: m.Direction, At: c.host.Now(), Message: *m}
	x.takeAdmission(&d)
	c.begin(x)
	topic := x.Topic(m)
	steps, known := c.byTopic[m.Direction][topic]
	if !known {
		steps = c.wanting(topic, m.Direction) // an extension method of the configuration
	}
	c.ask(ctx, x, &d.Message, &d, steps)
	d.Policy = c.policy(x)
	if d.Action == Allow && d.Direction == mcp.ToServer && ctx.Err() != nil {
		// The host's proxy has given up, or its client has left. What was judged
		// cannot go on, and no receipt must say that it did.
		d.Action, d.Reason, d.Obligations = Deny, DeadlineExceeded, nil
		d.Detail = "guard: run: nobody waits for the decision any more: " + ctx.Err().Error()
	}
	if d.Action == Allow && d.Edited && x.Original {
		// The host would have to forward what was not allowed.
		d.Action, d.Reason, d.Obligations = Deny, GuardError, nil
		d.Detail = "guard: run: a guard edited the message, and the host can forward nothing but the original"
	}
	c.stamp(x, &d)
	c.seal(x, &d)
	d.Took = c.host.Now().Sub(d.At)
	c.observe(ctx, x, m, &d)
	return d
}

// stamp has the host write what it has to into a message that goes to the server.
func (c *Chain) stamp(x *Exchange, d *Decision) {
	if c.host.Stamp == nil || d.Action != Allow || d.Direction != mcp.ToServer || x.Original {
		return
	}
	edits := c.host.Stamp(x, &d.Message)
	if len(edits) == 0 {
		return
	}
	m, err := c.host.Decoder.Apply(&d.Message, edits...)
	if err != nil {
		d.Action, d.Reason, d.Obligations = Deny, GuardError, nil
		d.Detail = fmt.Sprintf("guard: stamp: %v", err)
		return
	}
	d.Message, d.Edited = m, true
}

// policy names the policy that x meets.
func (c *Chain) policy(x *Exchange) string {
	if c.host.PolicyFor == nil {
		return c.host.Policy
	}
	return c.host.PolicyFor(&x.Principal)
}

// Reject records a refusal that the host itself has to make: input that does
// not decode, an unknown server, a deadline. m is nil when there is no message.
func (c *Chain) Reject(ctx context.Context, x *Exchange, m *mcp.Message, dir mcp.Direction, f *mcp.Fault) Decision {
	d := Decision{Direction: dir, Policy: c.policy(x), At: c.host.Now(), Reason: Reason(f.Reason), Detail: f.Detail, fault: f}
	x.takeAdmission(&d)
	c.observe(ctx, x, m, &d)
	return d
}

// Settle tells the guards how the exchange ended, in reverse list order, once:
// later calls do nothing. A panic in one guard does not rob the others of the
// news; the error joins a [Defect] for each.
func (c *Chain) Settle(ctx context.Context, x *Exchange, o Outcome) error {
	if x.settled {
		return nil
	}
	x.settled = true
	var errs []error
	for _, i := range c.settle {
		if err := settleOne(ctx, &c.members[i], x, o); err != nil {
			errs = append(errs, err)
		}
	}
	for _, w := range c.witness {
		if err := end(ctx, w, x, &o); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func end(ctx context.Context, w Witness, x *Exchange, o *Outcome) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("guard: observer %T panicked: %v", w, p)
		}
	}()
	w.Ended(ctx, x, o)
	return nil
}

func settleOne(ctx context.Context, member *Member, x *Exchange, o Outcome) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Defect{Guard: member.Spec.Name, Err: fmt.Errorf("panic in settle: %v", p), Stack: debug.Stack()}
		}
	}()
	member.Guard.(Settler).Settle(ctx, x, o)
	return nil
}

func (c *Chain) observe(ctx context.Context, x *Exchange, m *mcp.Message, d *Decision) {
	d.conceal(x, m, c.host.Reveals)
	for _, o := range c.host.Observers {
		if err := tell(ctx, o, x, m, d); err != nil && d.Action == Allow {
			d.Action, d.Reason, d.Guard, d.Detail = Deny, ReceiptUnavailable, "", err.Error()
			d.Obligations = nil
		}
	}
	x.advance(d)
}

// tell lets a broken observer break nothing else, but never silently: what it
// was told of may not be recorded.
func tell(ctx context.Context, o Observer, x *Exchange, m *mcp.Message, d *Decision) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("guard: observer %T panicked: %v", o, p)
		}
	}()
	return o.Observe(ctx, x, m, d)
}
