// Package policy asks a policy about each MCP message: who may use what, and
// how. It knows no policy engine: whoever answers implements [Decider].
package policy

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Source makes the Decider of a configuration, or nil where nobody decides.
type Source func(Config) (Decider, error)

// Budgets tells what this process knows to be left of the budgets of a call. It
// asks nobody. m is nil where there is no message.
type Budgets func(x *guard.Exchange, m *mcp.Message) json.RawMessage

// Spec presents the guard to the chain. A nil source leaves it out.
func Spec(source Source) guard.Spec { return Informed(source, nil) }

// Informed is Spec for policies that may know what is left of budgets.
func Informed(source Source, budgets Budgets) guard.Spec {
	return guard.Define("policy", "Asks the policy who may use what, and how; lists show only what their reader may use.", Default(),
		func(c Config) (guard.Guard, error) {
			if err := c.Validate(); err != nil || source == nil {
				return nil, err
			}
			d, err := source(c)
			if err != nil || d == nil {
				return nil, err
			}
			return &policy{c, d, budgets}, nil
		},
		guard.Want{Method: "*", Direction: mcp.ToServer},
		guard.Want{Method: "*", Direction: mcp.ToClient},
	).WithReasons(reasons()...)
}

type policy struct {
	Config
	decider Decider
	budgets Budgets
}

// RequestsOnly tells a host without responses what the guard does with them.
func (g *policy) RequestsOnly() error {
	switch {
	case !g.Config.RequestsOnly:
		return errors.New("filters lists and judges what servers send, unless requests_only says that it need not")
	case g.decider.Masks():
		return errors.New("the policy masks results")
	}
	return nil
}

// Inspect asks about messages to the server, and about what a server sends of
// its own accord; results are cut down to what the policy shows.
func (g *policy) Inspect(ctx context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	q := question{g: g, ctx: ctx, x: x}
	switch {
	case m.Kind == mcp.Failure && m.Direction == mcp.ToClient:
		return guard.Pass(), nil // nothing that was asked for is in it
	case m.Kind == mcp.Response && m.Direction == mcp.ToClient:
		return q.result(m)
	case m.Method == "subscriptions/listen":
		return q.subscribe(m)
	case m.Method == "notifications/tasks" && m.Direction == mcp.ToClient && q.g.decider.Masks() && hasContent(m.Params):
		return forgotten(), nil
	}
	return q.message(m)
}

// question is the asking about one message.
type question struct {
	g   *policy
	ctx context.Context
	x   *guard.Exchange
	in  Input
}

// about prepares the input for a method and its target.
func (q *question) about(method string, d mcp.Direction, k mcp.Kind, t Target) *Input {
	q.in = Input{
		Principal: &q.x.Principal, Server: &q.x.Server, Method: method, Direction: d, Kind: k, Target: t,
		Revision: q.x.Revision, Source: q.x.Source.Addr().Unmap(), Labels: q.x.Labels(),
	}
	if !q.x.Source.IsValid() {
		q.in.Source = netip.Addr{}
	}
	return &q.in
}

// message asks about a message as a whole.
func (q *question) message(m *mcp.Message) (guard.Verdict, error) {
	t, err := target(m)
	if err != nil {
		return guard.Refuse(PolicyDenied, err.Error()), nil
	}
	in := q.about(q.x.Topic(m), m.Direction, m.Kind, t)
	access, err := q.g.decider.Decide(q.ctx, Access, in)
	if err != nil {
		return guard.Verdict{}, err
	}
	if !access.Allow {
		return q.overcome(Access, access, in, m, t)
	}
	in.Params = m.Params
	if q.g.budgets != nil {
		in.Budget = func() json.RawMessage { return q.g.budgets(q.x, m) }
	}
	call, err := q.g.decider.Decide(q.ctx, Call, in)
	if err != nil {
		return guard.Verdict{}, err
	}
	if !call.Allow {
		return q.overcome(Call, call, in, m, t)
	}
	return q.carryOut(m, &access.Obligations, &call.Obligations)
}

// overcome refuses a message, and says what would do, if anything would.
func (q *question) overcome(s Step, d *Decision, in *Input, m *mcp.Message, t Target) (guard.Verdict, error) {
	if d.asks() {
		next, at, err := q.stepUp(in, d, m.Params, true)
		if err != nil {
			return guard.Verdict{}, err
		}
		if !next.asks() {
			s = at // something else is in the way
		}
		d = next
	}
	return q.refuse(s, d, t), nil
}

// refuse turns a no into a verdict.
func (q *question) refuse(s Step, d *Decision, t Target) guard.Verdict {
	v := guard.Refuse(d.Reason, s.String()+": "+d.Detail)
	if v.Reason == "" {
		v.Reason = PolicyDenied
	}
	if s == Access && q.g.Hide && hides(v.Reason) {
		hidden := guard.Reason("")
		switch {
		case v.Reason == ServerNotAllowed:
			hidden = guard.UnknownServer
		case t.Kind != NoTarget:
			hidden = guard.UnknownTarget
		}
		if hidden != "" {
			v.Detail = string(v.Reason) + " in " + v.Detail
			v.Reason = hidden
			return v
		}
	}
	v.Hint = d.Hint
	if c := challenge(v.Reason, &d.Challenge); c != "" {
		v.Obligations = []guard.Obligation{{Kind: guard.Challenge, Value: c}}
	}
	return v
}

// hides reports whether a refusal for reason is one that the caller cannot
// overcome, so that the target does not exist for it.
func hides(r guard.Reason) bool {
	switch r {
	case ApprovalRequired, ReauthenticationRequired, InsufficientScope, ReadOnly:
		return false
	}
	return true
}

// shown reports whether a list shows what d is about.
func shown(d *Decision) bool {
	r := d.Reason
	if r == "" {
		r = PolicyDenied
	}
	return d.Allow || !hides(r)
}

// challenge is the WWW-Authenticate header by which a client learns what to
// bring (RFC 6750, 3; RFC 9470, 3). The host adds where to get a token.
func challenge(r guard.Reason, c *Challenge) string {
	switch r {
	case InsufficientScope:
		if len(c.Scopes) == 0 {
			return "" // there is nothing that would help
		}
		return `Bearer error="insufficient_scope", scope="` + strings.Join(c.Scopes, " ") + `"`
	case ReauthenticationRequired:
		if !c.fresh {
			return ""
		}
		s := `Bearer error="insufficient_user_authentication"`
		if len(c.ACR) > 0 {
			s += `, acr_values="` + strings.Join(c.ACR, " ") + `"`
		}
		if c.MaxAge > 0 {
			s += `, max_age="` + strconv.Itoa(c.MaxAge) + `"`
		}
		if len(c.Scopes) > 0 {
			s += `, scope="` + strings.Join(c.Scopes, " ") + `"`
		}
		return s
	}
	return ""
}

// target names what a message works on.
func target(m *mcp.Message) (Target, error) {
	method, ok := mcp.LookupMethod(m.Method)
	if !ok {
		return Target{Name: m.Name}, nil
	}
	switch method.Target {
	case mcp.TargetTool:
		return Target{Tool, m.Name}, nil
	case mcp.TargetPrompt:
		return Target{Prompt, m.Name}, nil
	case mcp.TargetTask:
		return Target{Task, m.Name}, nil
	case mcp.TargetURI:
		return resource(m.Name)
	case mcp.TargetRef:
		if ref, _ := mcp.Member(m.Params, "ref"); mcp.Text(ref, "type") == "ref/prompt" {
			return Target{Prompt, m.Name}, nil
		}
		return Target{Template, m.Name}, nil
	}
	return Target{}, nil
}

var errURI = errors.New("the URI is none by RFC 3986, so that no rule can be about it")

// resource is the target that a URI names. Servers undo escapes and dot
// segments, so rules are about the form in which those are undone.
func resource(uri string) (Target, error) {
	normal, err := mcp.NormalURI(uri)
	if err != nil {
		return Target{}, errURI
	}
	return Target{Resource, normal}, nil
}

// TargetOf names what a message works on, as policies see it.
func TargetOf(m *mcp.Message) (Target, error) { return target(m) }
