// Package cedar decides by Cedar policies. It implements policy.Decider.
//
// What Cedar calls principal, action and resource are the caller, the method,
// and the target (or the server, where a method has none); the rest is the
// context. policies/cedar/sallyport.cedarschema has all of it, and policies are
// validated against it. Annotations say what a refusal or a yes carries.
package cedar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/memo"
)

// Settings are what a Policy is run with.
type Settings struct {
	CacheTTL time.Duration // how long a decision is used again; 0: never
	Places   int           // of the cache; 0 means 65536
	Deadline time.Duration // of one decision; 0 means half a second
	Now      func() time.Time
	Counts   *memo.Counts // what happens is added to it; nil for the Policy's own
}

// Policy is one bundle, ready to decide. It is immutable but for its cache, and
// safe for concurrent use.
type Policy struct {
	Settings
	revision   string
	entities   types.EntityMap // roles and what else the bundle knows
	permits    rules           // access: one must match
	forbids    rules           // access: none may
	conditions rules           // access: what a yes carries
	refusals   rules           // call: none may match, nor fail
	terms      rules           // call: what a yes carries
	masks      bool
	memo       *memo.Decisions
	principals *memo.Table[types.Entity]
	said       map[string]bool // policies that matched; nil except in tests of the bundle
}

// Revision names the bundle: its own revision, and a digest of its content.
func (p *Policy) Revision() string { return p.revision }

// Masks reports whether any policy masks or caps results.
func (p *Policy) Masks() bool { return p.masks }

// Stats returns what was decided so far.
func (p *Policy) Stats() memo.Stats { return p.memo.Stats() }

var allowed = &policy.Decision{Allow: true}

// Decide implements policy.Decider.
func (p *Policy) Decide(_ context.Context, s policy.Step, in *policy.Input) (*policy.Decision, error) {
	if s == policy.Call && len(p.refusals) == 0 && len(p.terms) == 0 {
		return allowed, nil
	}
	now := p.Now()
	if !p.memo.On() {
		return p.decide(s, in, now, nil)
	}
	var own [512]byte
	key := memo.Key(own[:0], s, in)
	if d := p.memo.Get(key, now); d != nil {
		return d, nil
	}
	volatile := false
	d, err := p.decide(s, in, now, &volatile)
	switch {
	case err != nil:
		return nil, err
	case volatile:
		p.memo.Uncacheable()
	default:
		p.memo.Put(key, now, d)
	}
	return d, nil
}

var errDeadline = errors.New("cedar: the decision took longer than its deadline")

// decide evaluates. It tells through volatile whether a policy that reads what
// belongs to one call alone could have had a say.
func (p *Policy) decide(s policy.Step, in *policy.Input, now time.Time, volatile *bool) (*policy.Decision, error) {
	p.memo.Evaluated()
	q := p.question(s, in, now)
	d, err := p.answer(s, q, in)
	if err == nil && p.Now().Sub(now) > p.Deadline {
		p.memo.TimedOut()
		return nil, errDeadline
	}
	if err != nil {
		p.memo.Failed()
		return nil, err
	}
	if volatile != nil {
		*volatile = len(p.perCall(s, q)) > 0
	}
	return d, nil
}

// perCall returns the members that belong to one call alone and are read by
// policies whose scope fits. Policies are about the action and resource that
// was asked about, and for the reason of a refusal about the server.
func (p *Policy) perCall(s policy.Step, q *question) (members []string) {
	lists := []rules{p.permits, p.forbids, p.conditions}
	if s == policy.Call {
		lists = []rules{p.refusals, p.terms}
	}
	for _, list := range lists {
		members = append(members, list.perCall(q)...)
	}
	return members
}

// Examine decides anew, whatever is kept, and names the members of the input
// that the answer can have come from.
func (p *Policy) Examine(_ context.Context, s policy.Step, in *policy.Input) (*policy.Decision, []string, error) {
	now := p.Now()
	q := p.question(s, in, now)
	read := append([]string{"principal", "server", "target", "tool", "method", "direction", "kind", "revision"}, p.perCall(s, q)...)
	d, err := p.decide(s, in, now, nil)
	return d, read, err
}

func (p *Policy) answer(s policy.Step, q *question, in *policy.Input) (*policy.Decision, error) {
	if s == policy.Call {
		no, failed := p.refusals.match(p, q)
		switch {
		case len(no) > 0:
			return no[0].no, nil
		case len(failed) > 0: // arguments are what the caller makes them
			return failed[0].no, nil
		}
		return p.yes(p.terms, q, in)
	}
	permits, failed := p.permits.match(p, q)
	if len(failed) > 0 {
		return nil, failed[0].failure()
	}
	no, failed := p.forbids.match(p, q)
	if len(failed) > 0 {
		return nil, failed[0].failure()
	}
	for _, r := range no {
		if r.no.Reason == policy.ServerNotAllowed {
			return r.no, nil
		}
	}
	switch {
	case len(permits) == 0:
		return p.nobody(q, in)
	case len(no) > 0:
		return no[0].no, nil
	}
	d, err := p.yes(p.conditions, q, in)
	if err != nil {
		return nil, err
	}
	for _, r := range permits { // what a permit carries is a condition of it
		if d, err = r.add(d, in); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// nobody refuses what no policy permits. Who may not even list the tools of a
// server may not use the server.
func (p *Policy) nobody(q *question, in *policy.Input) (*policy.Decision, error) {
	d := &policy.Decision{Reason: policy.ServerNotAllowed, Detail: fmt.Sprintf("no policy permits the use of the server %s", in.Server.Name)}
	if in.Target.Kind != policy.NoTarget || in.Direction == toClient {
		about := *q
		about.request.Action = action("tools/list")
		about.request.Resource = q.server
		permits, failed := p.permits.match(p, &about)
		if len(failed) > 0 {
			return nil, failed[0].failure()
		}
		if len(permits) > 0 {
			d.Reason, d.Detail = policy.ToolNotAllowed, fmt.Sprintf("no policy permits %s of %s %q", in.Method, in.Target.Kind, in.Target.Name)
			if in.Target.Kind == policy.NoTarget {
				d.Reason, d.Detail = policy.PolicyDenied, fmt.Sprintf("no policy permits that the server %s sends %s", in.Server.Name, in.Method)
			}
		}
	}
	if in.Server.Owner != "" {
		d.Hint = fmt.Sprintf("Access is given by %s, who own the server %s.", in.Server.Owner, in.Server.Name)
	}
	return d, nil
}

// yes is a yes with what matching rules add to it.
func (p *Policy) yes(list rules, q *question, in *policy.Input) (*policy.Decision, error) {
	matching, failed := list.match(p, q)
	if len(failed) > 0 {
		return nil, failed[0].failure()
	}
	d := allowed
	var err error
	for _, r := range matching {
		if d, err = r.add(d, in); err != nil {
			return nil, err
		}
	}
	return d, nil
}
