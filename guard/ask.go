package guard

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/mcp"
)

// ask puts the question to the members in turn and writes the answer to d. A
// nil message asks for admission.
func (c *Chain) ask(ctx context.Context, x *Exchange, m *mcp.Message, d *Decision, steps []int) {
	if len(steps) > 0 {
		d.Journal = make([]Entry, 0, len(steps))
	}
	for _, i := range steps {
		member := &c.members[i]
		start := c.host.Now()
		v, err := c.consult(ctx, member, x, m)
		if err == nil {
			err = c.check(v)
		}
		var edited mcp.Message
		edits := err == nil && len(v.Edits) > 0
		if edits {
			edited, err = c.edit(m, v.Edits)
		}
		entry := Entry{Guard: member.Spec.Name, Mode: member.Mode, Action: v.Action, Reason: v.Reason, Detail: v.Detail, Err: err}
		entry.Took = c.host.Now().Sub(start)
		if err != nil {
			entry.Action, entry.Reason = Deny, GuardError
			if errors.Is(err, context.DeadlineExceeded) {
				entry.Reason = DeadlineExceeded
			}
		}
		d.Journal = append(d.Journal, entry)
		switch {
		case member.Mode == Shadow:
			continue // journaled only: no edits, no obligations, no refusal
		case err != nil && member.OnError == Allow:
			continue
		case entry.Action != Allow:
			d.refuse(entry, v)
			return
		}
		if edits {
			*m = edited
			d.Edited = true
		}
		d.Obligations = append(d.Obligations, v.Obligations...)
		for _, o := range v.Obligations {
			if o.Kind == AddLabel {
				x.Label(o.Name)
			}
		}
	}
	d.Action = Allow
}

// consult asks one guard, waits for a pending answer where the host says, and
// turns a panic into an error: the message is then judged by on_error like any
// other question that got no answer.
func (c *Chain) consult(ctx context.Context, member *Member, x *Exchange, m *mcp.Message) (v Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = Verdict{}, fmt.Errorf("guard: %s panicked: %v", member.Spec.Name, p)
		}
	}()
	if m == nil {
		v, err = member.Guard.(Admitter).Admit(ctx, x)
	} else {
		v, err = member.Guard.Inspect(ctx, x, m)
	}
	if err != nil || v.Pending == nil {
		return v, err
	}
	name, wait := member.Spec.Name, v.Pending
	v, err = c.host.Await(ctx, member.Timeout, func(ctx context.Context) (v Verdict, err error) {
		defer func() { // on whatever goroutine the host chose
			if p := recover(); p != nil {
				v, err = Verdict{}, fmt.Errorf("guard: %s panicked: %v", name, p)
			}
		}()
		return wait(ctx)
	})
	if err == nil && v.Pending != nil {
		err = fmt.Errorf("guard: %s: a pending verdict must not be pending again", name)
	}
	return v, err
}

// check refuses verdicts that make no sense, which only a defective guard gives.
func (c *Chain) check(v Verdict) error {
	switch {
	case v.Action > Allow:
		return fmt.Errorf("guard: unknown action %d", v.Action)
	case v.Action != Allow && len(v.Edits) > 0:
		return errors.New("guard: edits need an allow verdict")
	case v.Action == Hold && v.Ticket == nil:
		return errors.New("guard: a hold needs a ticket")
	case v.Action != Hold && v.Ticket != nil:
		return errors.New("guard: a ticket needs a hold verdict")
	case v.Action == Allow:
		return nil
	}
	if _, ok := c.reasons[v.Reason]; !ok {
		return fmt.Errorf("guard: reason %q is not declared", v.Reason)
	}
	return nil
}

func (c *Chain) edit(m *mcp.Message, edits []mcp.Edit) (mcp.Message, error) {
	if m == nil {
		return mcp.Message{}, errors.New("guard: admission has no message to edit")
	}
	edited, err := c.host.Decoder.Apply(m, edits...)
	if err != nil {
		return mcp.Message{}, fmt.Errorf("guard: edit: %w", err)
	}
	return edited, nil
}

// refuse makes a guard's no the decision. Obligations of guards that had said
// yes are void; those of the refusal, such as a Retry-After, count.
func (d *Decision) refuse(e Entry, v Verdict) {
	d.Action, d.Reason, d.Guard, d.Detail = e.Action, e.Reason, e.Guard, e.Detail
	if e.Err != nil {
		d.Detail = e.Err.Error()
		d.Obligations = nil
		return
	}
	d.Obligations, d.Ticket = v.Obligations, v.Ticket
}
