package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/sallyport/sallyport/mcp"
)

// Defect is the error of a guard that broke a rule of this package: it
// panicked, gave a verdict that makes no sense, or asked for an edit that
// cannot be made. What a message holds can provoke all of these, and the guard
// may have meant to refuse; so a defect refuses whatever on_error says, which
// is about guards that honestly reached no answer.
type Defect struct {
	Guard string
	Err   error
	Stack []byte // of a panic; nil otherwise
}

// Error returns the guard and what it did.
func (e *Defect) Error() string { return "guard: " + e.Guard + ": defect: " + e.Err.Error() }

// Unwrap returns what the guard did.
func (e *Defect) Unwrap() error { return e.Err }

// ask puts the question to the members in turn and writes the answer to d. A
// nil message asks for admission.
func (c *Chain) ask(ctx context.Context, x *Exchange, m *mcp.Message, d *Decision, steps []int) {
	if d.Journal == nil && len(steps) > 0 {
		d.Journal = make([]Entry, 0, len(steps))
	}
	last := d.At
	for _, i := range steps {
		member, labels := &c.members[i], len(x.labels)
		v, edited, err := c.consult(ctx, member, x, m, d.Direction)
		now := c.host.Now()
		entry := member.entry(&v, err, c.host.OverBudget)
		entry.Took, entry.Labels, last = now.Sub(last), labels, now
		d.Journal = append(d.Journal, entry)
		switch {
		case member.Mode == Shadow: // journaled only: no edits, no obligations, no refusal
		case entry.Action != Allow:
			d.refuse(x, &entry, &v)
			return
		case errors.Is(err, ErrOverBudget): // excused by the budget's own rule
			x.note(d, entry.Guard, []Obligation{
				{Kind: AddLabel, Name: "uninspected"},
				{Kind: Raise, Name: string(OverBudget), Value: "guards." + entry.Guard + " did not look at all of the message"},
			})
		case err != nil: // excused by on_error
		default:
			if v.Principal != nil {
				x.Principal = *v.Principal
			}
			d.accept(x, m, edited, entry.Guard, v.Obligations)
		}
	}
	d.Action = Allow
}

// entry is what the journal says about an answer, or about its absence.
func (m *Member) entry(v *Verdict, err error, overBudget Action) Entry {
	e := Entry{Guard: m.Spec.Name, Mode: m.Mode, Action: v.Action, Reason: v.Reason, Detail: v.Detail, Err: err, Measures: v.Measures, Sensitive: v.Sensitive}
	if err == nil {
		return e
	}
	e.Action, e.Reason, e.Detail = m.OnError, GuardError, ""
	var broken *Defect
	switch {
	case errors.As(err, &broken):
		e.Action = Deny
	case errors.Is(err, ErrOverBudget):
		e.Action, e.Reason = overBudget, OverBudget
	case errors.Is(err, context.DeadlineExceeded):
		e.Reason = DeadlineExceeded
	}
	return e
}

// consult gets one guard's verdict, checks it and tries its edits; edited is
// nil when there are none.
func (c *Chain) consult(ctx context.Context, member *Member, x *Exchange, m *mcp.Message, dir mcp.Direction) (Verdict, *mcp.Message, error) {
	v, err := c.question(ctx, member, x, m)
	if err != nil {
		return Verdict{}, nil, err
	}
	if err := c.check(&v, m == nil, dir, &member.Spec); err != nil {
		return Verdict{}, nil, &Defect{Guard: member.Spec.Name, Err: err}
	}
	if len(v.Edits) == 0 {
		return v, nil, nil
	}
	edited, err := c.host.Decoder.Apply(m, v.Edits...)
	if err != nil {
		return Verdict{}, nil, &Defect{Guard: member.Spec.Name, Err: fmt.Errorf("edit: %w", err)}
	}
	return v, &edited, nil
}

// question asks one guard, waits for a pending answer where the host says, and
// turns a panic into an error.
func (c *Chain) question(ctx context.Context, member *Member, x *Exchange, m *mcp.Message) (v Verdict, err error) {
	defer catch(member.Spec.Name, &v, &err)
	switch {
	case m == nil:
		v, err = member.Guard.(Admitter).Admit(ctx, x)
	case member.Spec.Scans:
		v, err = x.spend(func() (Verdict, error) { return member.Guard.Inspect(ctx, x, m) })
	default:
		v, err = member.Guard.Inspect(ctx, x, m)
	}
	if err != nil || v.Pending == nil {
		return v, err
	}
	name, wait := member.Spec.Name, v.Pending
	v, err = c.host.Await(ctx, member.Timeout, func(ctx context.Context) (v Verdict, err error) {
		defer catch(name, &v, &err) // on whatever goroutine the host chose
		return wait(ctx)
	})
	if err == nil && v.Pending != nil {
		return Verdict{}, &Defect{Guard: name, Err: errors.New("a pending verdict must not be pending again")}
	}
	return v, err
}

// catch turns a panic of a guard into a defect. It is to be deferred.
func catch(name string, v *Verdict, err *error) {
	if p := recover(); p != nil {
		*v, *err = Verdict{}, &Defect{Guard: name, Err: fmt.Errorf("panic: %v", p), Stack: debug.Stack()}
	}
}

// accept carries out what came with a yes, as far as it is the chain's to do.
func (d *Decision) accept(x *Exchange, m, edited *mcp.Message, guard string, duties []Obligation) {
	d.Obligations = append(d.Obligations, duties...)
	x.note(d, guard, duties)
	if edited == nil {
		return
	}
	if edited.Name != m.Name && m.Direction == mcp.ToServer && x.Revision.Modern() {
		// The header has to name what the body names (MCP 2026-07-28,
		// transports), or the upstream refuses the message.
		d.Obligations = append(d.Obligations, Obligation{Kind: SetHeader, Name: mcp.HeaderName, Value: headerParam(edited.Name)})
	}
	*m = *edited
	d.Edited = true
}

// refuse makes a guard's no the decision. Obligations of guards that had said
// yes are void; those of the refusal, such as a Retry-After, count.
func (d *Decision) refuse(x *Exchange, e *Entry, v *Verdict) {
	d.Action, d.Reason, d.Guard, d.Detail = e.Action, e.Reason, e.Guard, e.Detail
	d.Obligations, d.Ticket, d.Hint, d.Result = v.Obligations, v.Ticket, v.Hint, v.Result
	x.note(d, e.Guard, v.Obligations)
	if e.Err != nil {
		d.Detail = e.Err.Error()
	}
}

// seal turns what the guards of an allowed message bind it by into one signed
// header, now that no guard changes the message any more.
func (c *Chain) seal(x *Exchange, d *Decision) {
	if d.Action != Allow {
		return
	}
	var claims []string
	for i := range d.Obligations {
		if o := &d.Obligations[i]; o.Kind == Constrain {
			claims = append(claims, o.Value)
		}
	}
	if claims == nil {
		return
	}
	err := errors.New("the host has no key to sign constraints with")
	var header, value string
	if c.host.Seal != nil {
		header, value, err = c.host.Seal(x, &d.Message, claims)
	}
	if err != nil {
		d.Action, d.Reason, d.Obligations = Deny, GuardError, nil
		d.Detail = fmt.Sprintf("guard: seal: %v", err)
		return
	}
	d.Obligations = slices.DeleteFunc(d.Obligations, func(o Obligation) bool { return o.Kind == Constrain })
	d.Obligations = append(d.Obligations, Obligation{Kind: SetHeader, Name: header, Value: value})
}
