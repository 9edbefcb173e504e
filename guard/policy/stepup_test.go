package policy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// lacks is a no of somebody who has not all of these scopes.
func lacks(in *policy.Input, scopes ...string) *policy.Decision {
	for _, s := range scopes {
		if !slices.Contains(in.Principal.Scopes, s) {
			return &policy.Decision{Reason: policy.InsufficientScope, Challenge: policy.Challenge{Scopes: []string{s}}}
		}
	}
	return nil
}

func stale(in *policy.Input) *policy.Decision {
	if in.Principal.AuthTime.IsZero() || in.Time.Sub(in.Principal.AuthTime) > time.Minute {
		return &policy.Decision{Reason: policy.ReauthenticationRequired, Challenge: policy.Challenge{MaxAge: 60}}
	}
	return nil
}

// A challenge is only for those whom it helps, and names all at once.
func TestAStepUpIsOnlyAskedForWhereItHelps(t *testing.T) {
	first := func(list ...*policy.Decision) policy.Decision {
		for _, d := range list {
			if d != nil {
				return *d
			}
		}
		return policy.Decision{Allow: true}
	}
	forbidden := &policy.Decision{Reason: policy.ToolNotAllowed}
	for _, c := range []struct {
		name         string
		access, call func(in *policy.Input) policy.Decision
		nobody       bool // without a token
		want         guard.Reason
		challenge    string
	}{
		{name: "scopes that the policy asks for one by one", want: policy.InsufficientScope, challenge: `Bearer error="insufficient_scope", scope="a b mcp"`,
			access: func(in *policy.Input) policy.Decision { return first(lacks(in, "a", "b")) }},
		{name: "scopes of both questions", want: policy.InsufficientScope, challenge: `Bearer error="insufficient_scope", scope="a b mcp"`,
			access: func(in *policy.Input) policy.Decision { return first(lacks(in, "a")) },
			call:   func(in *policy.Input) policy.Decision { return first(lacks(in, "b")) }},
		{name: "a scope for the call alone", want: policy.InsufficientScope, challenge: `Bearer error="insufficient_scope", scope="b mcp"`,
			access: yes, call: func(in *policy.Input) policy.Decision { return first(lacks(in, "b")) }},
		{name: "a fresh login, and then a scope", want: policy.ReauthenticationRequired, challenge: `Bearer error="insufficient_user_authentication", max_age="60", scope="a mcp"`,
			access: yes, call: func(in *policy.Input) policy.Decision { return first(stale(in), lacks(in, "a")) }},
		{name: "a tool that is forbidden with the scope too", want: guard.UnknownTarget,
			access: func(in *policy.Input) policy.Decision { return first(lacks(in, "a"), forbidden) }},
		{name: "arguments that are forbidden with the scope too", want: policy.ArgumentNotAllowed,
			access: func(in *policy.Input) policy.Decision { return first(lacks(in, "a")) },
			call:   func(*policy.Input) policy.Decision { return policy.Decision{Reason: policy.ArgumentNotAllowed} }},
		{name: "a tool that is forbidden after a fresh login too", want: guard.UnknownTarget,
			access: func(in *policy.Input) policy.Decision { return first(stale(in), forbidden) }},
		{name: "a person has to say yes besides", want: policy.InsufficientScope, challenge: `Bearer error="insufficient_scope", scope="a mcp"`,
			access: func(in *policy.Input) policy.Decision {
				return first(lacks(in, "a"), &policy.Decision{Reason: policy.ApprovalRequired})
			}},
		{name: "a scope that is never enough", want: policy.InsufficientScope,
			access: func(*policy.Input) policy.Decision {
				return policy.Decision{Reason: policy.InsufficientScope, Challenge: policy.Challenge{Scopes: []string{"a"}}}
			}},
		{name: "a policy without end", want: policy.InsufficientScope,
			access: func(in *policy.Input) policy.Decision {
				return policy.Decision{Reason: policy.InsufficientScope, Challenge: policy.Challenge{Scopes: []string{strings.Repeat("x", len(in.Principal.Scopes))}}}
			}},
		{name: "a scope without a name", want: policy.InsufficientScope,
			access: func(*policy.Input) policy.Decision { return policy.Decision{Reason: policy.InsufficientScope} }},
		{name: "somebody who came without a token", nobody: true, want: policy.InsufficientScope,
			access: func(in *policy.Input) policy.Decision { return first(lacks(in, "a")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := chain(t, &rules{access: c.access, call: c.call}, true)
			m := call(t, "drop", `{"all":true}`)
			x := exchange(mcp.R20251125, m)
			x.Started = time.Now()
			x.Principal = guard.Principal{Subject: "ana", Issuer: "https://id.example", Scopes: []string{"mcp"}}
			if c.nobody {
				x.Principal = guard.Principal{Peer: "spiffe://a/b"}
			}
			d := ch.Run(context.Background(), x, m)
			if r := ch.Refusal(x, &d); d.Reason != c.want || r.Challenge != c.challenge {
				t.Errorf("got %s (%s) with challenge %q", d.Reason, d.Detail, r.Challenge)
			}
			if len(x.Principal.Scopes) > 1 || !x.Principal.AuthTime.IsZero() {
				t.Errorf("asking changed the caller: %+v", x.Principal)
			}
			// A list shows what a step-up would open, and nothing else.
			if c.call == nil {
				x := asking(mcp.R20251125, "tools/list")
				x.Started, x.Principal = time.Now(), guard.Principal{Subject: "ana", Issuer: "https://id.example", Scopes: []string{"mcp"}}
				ch := chain(t, &rules{access: func(in *policy.Input) policy.Decision {
					if in.Target.Kind == policy.NoTarget {
						return policy.Decision{Allow: true}
					}
					return c.access(in)
				}}, true)
				d := ch.Run(context.Background(), x, result(t, `{"tools":[{"name":"drop"}]}`))
				if shown := strings.Contains(string(d.Message.Result), "drop"); shown != (c.want != guard.UnknownTarget) {
					t.Errorf("the list is %s", d.Message.Result)
				}
			}
		})
	}
}

// broken is a Decider that answers the first question only.
type broken struct {
	rules
	asked bool
}

func (b *broken) Decide(ctx context.Context, s policy.Step, in *policy.Input) (*policy.Decision, error) {
	if b.asked {
		return nil, errors.New("out of order")
	}
	b.asked = true
	return b.rules.Decide(ctx, s, in)
}

func TestAnErrorWhileAskingFurtherRefuses(t *testing.T) {
	b := &broken{rules: rules{access: func(*policy.Input) policy.Decision {
		return policy.Decision{Reason: policy.InsufficientScope, Challenge: policy.Challenge{Scopes: []string{"a"}}}
	}}}
	m := call(t, "drop", "")
	x := exchange(mcp.R20251125, m)
	x.Principal.Issuer = "https://id.example"
	if d := chain(t, b, true).Run(context.Background(), x, m); d.Action != guard.Deny || d.Reason != guard.GuardError {
		t.Errorf("got %v", d)
	}
}
