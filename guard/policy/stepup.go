package policy

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
)

// rounds bounds how often a policy may come up with something more to bring.
const rounds = 4

// access asks about the target alone. A no that scopes or a fresh login would
// overcome stays what it is; one that they would not turns into the no that is
// behind it, so that nobody is sent for what does not help.
func (q *question) access(in *Input) (*Decision, error) {
	d, err := q.g.decider.Decide(q.ctx, Access, in)
	if err != nil || d.Allow || !d.asks() {
		return d, err
	}
	d, _, err = q.stepUp(in, d, nil, false)
	return d, err
}

// asks reports whether a no asks the caller to bring something.
func (d *Decision) asks() bool {
	return !d.Allow && (d.Reason == InsufficientScope || d.Reason == ReauthenticationRequired)
}

// stepUp asks what the policy would say to the same caller with what no asks it
// to bring. If that is enough, it returns no with all that is needed, at once, as
// its challenge; if something else is in the way, that; and no without a challenge
// if nothing that could be brought is ever enough. whole asks about the call, too,
// whose params the policy then sees.
func (q *question) stepUp(in *Input, no *Decision, params []byte, whole bool) (*Decision, Step, error) {
	bare := *no
	bare.Challenge = Challenge{}
	if in.Principal.Issuer == "" { // no token, so none that says more
		return &bare, Call, nil
	}
	then, caller := *in, *in.Principal
	then.Principal, then.Time = &caller, q.x.Started
	caller.Scopes = slices.Clone(caller.Scopes)
	var need Challenge
	d := no
	for range rounds {
		if !need.add(d) {
			return &bare, Call, nil // it asks for what was brought
		}
		bring(&caller, &need, q.x)
		var s Step
		var err error
		if d, s, err = q.both(&then, params, whole); err != nil {
			return nil, s, err
		}
		switch {
		case d.Allow, d.Reason == ApprovalRequired: // a person may still say yes
			need.keep(in.Principal.Scopes)
			bare.Challenge = need
			return &bare, Call, nil
		case !d.asks():
			return d, s, nil
		}
	}
	return &bare, Call, nil
}

// both asks the one question or the two, as of a caller who brought more.
func (q *question) both(in *Input, params []byte, whole bool) (*Decision, Step, error) {
	in.Params = nil
	d, err := q.g.decider.Decide(q.ctx, Access, in)
	if err != nil || !d.Allow || !whole {
		return d, Access, err
	}
	in.Params = params
	d, err = q.g.decider.Decide(q.ctx, Call, in)
	return d, Call, err
}

// add takes in what d asks for, and reports whether that is anything new.
func (c *Challenge) add(d *Decision) bool {
	changed := false
	if d.Reason == InsufficientScope {
		for _, s := range d.Challenge.Scopes {
			if !slices.Contains(c.Scopes, s) {
				c.Scopes, changed = append(c.Scopes, s), true
			}
		}
		return changed
	}
	if age := d.Challenge.MaxAge; !c.fresh || age > 0 && (c.MaxAge == 0 || age < c.MaxAge) {
		c.fresh, c.MaxAge, changed = true, age, true
	}
	if len(c.ACR) == 0 && len(d.Challenge.ACR) > 0 {
		c.ACR, changed = d.Challenge.ACR, true
	}
	return changed
}

// keep names the scopes that the caller has, too: many a client asks for exactly
// what a challenge names, and would lose the others (MCP 2025-11-25,
// authorization: scope challenge handling).
func (c *Challenge) keep(scopes []string) {
	if len(c.Scopes) == 0 || len(c.Scopes)+len(scopes) > 64 {
		return
	}
	for _, s := range scopes {
		if !slices.Contains(c.Scopes, s) && !strings.ContainsFunc(s, notInScope) {
			c.Scopes = append(c.Scopes, s)
		}
	}
}

// notInScope is what a scope never holds (RFC 6749, 3.3).
func notInScope(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

// bring gives a caller what is needed.
func bring(p *guard.Principal, c *Challenge, x *guard.Exchange) {
	for _, s := range c.Scopes {
		if i, has := slices.BinarySearch(p.Scopes, s); !has {
			p.Scopes = slices.Insert(p.Scopes, i, s)
		}
	}
	if c.fresh {
		p.AuthTime = x.Started
	}
	if len(c.ACR) > 0 {
		p.Strength = c.ACR[0]
	}
}
