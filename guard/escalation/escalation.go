// Package escalation brings a person in: it tells apart what calls do, by the
// registry and by labels, and what an agent thinks of its own doing, and asks
// for approval where the guide's boundary_controls say so.
package escalation

import (
	"context"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// Words of this guard, for labels and events.
const (
	labelWatched     = "human_in_loop"
	eventWatched     = "human_in_loop"
	eventApproval    = "approval_required"
	externalWrites   = "external_writes"
	allWrites        = "all_writes"
	financialActions = "financial_transactions"
)

// Ports are what the guard needs from outside.
type Ports struct {
	Boundary Boundary // without anything in it, the guard is left out
	Tickets  *guard.Tickets
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("escalation", "Asks for a person's approval where an action, or the agent's own doubt, calls for it.", Default(), func(c Config) (guard.Guard, error) {
		if err := c.validate(); err != nil || p.Boundary.empty() || p.Tickets == nil {
			return nil, err
		}
		t, err := compile(p.Boundary.Threshold, c.Measure)
		if err != nil {
			return nil, err
		}
		return &escalation{c, p, t}, nil
	},
		// Calls, and answers to what servers ask for: a client may give them again with
		// whatever request they were asked for by, also where the protocol knows of none.
		guard.Want{Method: "*", Direction: mcp.ToServer},
	)
}

type escalation struct {
	Config
	Ports
	threshold threshold
}

// Inspect lets a call or an answer go on, has it watched, or holds it.
func (g *escalation) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	switch m.Method {
	case "tools/call":
		v = g.call(x, m, g.classify(x, m.Name), "call")
	case "completion/complete", "prompts/get", "resources/read", "resources/subscribe":
		v = g.call(x, m, g.marked(x, class{}), "request")
	}
	if v.Action != guard.Allow {
		return v, nil
	}
	if g.Answers == "allow" || !answers(m) {
		return v, nil
	}
	if about := g.review(x, m); about.Action != guard.Allow || len(v.Obligations) == 0 {
		return about, nil
	}
	return v, nil
}

// call decides about a call, or about another request that brings a server what a
// client fills in: the text that is to be completed, arguments of prompts, variables of
// URIs. Those read, as far as the protocol goes, and labels say what they do beside.
func (g *escalation) call(x *guard.Exchange, m *mcp.Message, c class, what string) guard.Verdict {
	label := g.approved(x)
	switch b := &g.Boundary; {
	case c.is(b.ApprovalRequired):
		return g.hold(x, m, "approval_required: "+b.ApprovalRequired, what, c.why())
	case label != "":
		return g.hold(x, m, "label "+label, what, "the gateway labelled it "+label)
	case g.HumanInLoop == "hold" && c.is(b.HumanInLoop):
		return g.hold(x, m, "human_in_loop: "+b.HumanInLoop, what, c.why())
	}
	if g.threshold.on && (c.write || g.Threshold == "all") {
		if why := g.doubt(m); why != "" {
			return g.hold(x, m, "escalation_threshold: "+g.threshold.text, what, why)
		}
	}
	if c.is(g.Boundary.HumanInLoop) {
		return g.watch(g.Boundary.HumanInLoop + ": " + c.why())
	}
	return guard.Pass()
}

// watch lets go on what a person is to see.
func (g *escalation) watch(why string) guard.Verdict {
	v := guard.Pass()
	v.Obligations = []guard.Obligation{
		{Kind: guard.AddLabel, Name: labelWatched},
		{Kind: guard.Raise, Name: eventWatched, Value: why},
	}
	return v
}

// hold refuses until somebody approves.
func (g *escalation) hold(x *guard.Exchange, m *mcp.Message, rule, what, why string) guard.Verdict {
	v := guard.Refuse(guard.ApprovalRequired, rule+"; "+why)
	v.Action = guard.Hold
	v.Hint = "A person has to approve this " + what + ", because " + why + "."
	v.Ticket = g.Tickets.For(x, m, v.Hint)
	v.Obligations = []guard.Obligation{{Kind: guard.Raise, Name: eventApproval, Value: v.Detail}}
	return v
}

// class is what a call does.
type class struct {
	write, external, financial bool
	unknown                    bool // the registry does not say, so all of it
}

// classify takes the registry's word, and assumes the worst where it has none.
func (g *escalation) classify(x *guard.Exchange, tool string) class {
	t, known := x.Server.Tool(tool)
	if !known {
		return g.marked(x, class{write: true, external: true, financial: true, unknown: true})
	}
	return g.marked(x, classOf(t))
}

func classOf(t guard.Tool) class {
	return class{write: !t.ReadOnly || t.Destructive, external: t.External, financial: t.Financial}
}

// marked adds what labels say, which can make a call worse and never better.
func (g *escalation) marked(x *guard.Exchange, c class) class {
	for _, label := range x.Labels() {
		c.write = c.write || notation.MatchAny(g.Labels.Write, label)
		c.external = c.external || notation.MatchAny(g.Labels.External, label)
		c.financial = c.financial || notation.MatchAny(g.Labels.Financial, label)
	}
	return c
}

// approved returns the label by which a person has to approve, or nothing.
func (g *escalation) approved(x *guard.Exchange) string {
	for _, label := range x.Labels() {
		if notation.MatchAny(g.Labels.Approve, label) {
			return label
		}
	}
	return ""
}

// is reports whether the class is among the guide's actions.
func (c *class) is(actions string) bool {
	switch actions {
	case externalWrites:
		return c.write && c.external
	case allWrites:
		return c.write
	case financialActions:
		return c.financial && c.write // looking at an account is no transaction
	}
	return false
}

// why says what the call does.
func (c *class) why() string {
	switch {
	case c.unknown:
		return "the registry does not say what this tool does, so that it may do anything"
	case c.financial && c.external:
		return "it moves money and reaches outside of the organisation"
	case c.financial:
		return "it moves money"
	case c.external:
		return "it changes something outside of the organisation"
	}
	return "it changes something"
}

// doubt says why the agent's own measure calls for a person; nothing if it does
// not. What cannot be read as one number does.
func (g *escalation) doubt(m *mcp.Message) string {
	name, _, _ := strings.Cut(g.threshold.text, " ")
	declared := false
	for _, pointer := range g.threshold.pointers {
		raw, ok := mcp.Lookup(m.Params, pointer)
		if !ok {
			continue
		}
		declared = true
		v, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || !isNumber(raw) {
			return "the " + name + " that it declares is no number"
		}
		if g.threshold.holds(v) {
			return "the " + name + " that it declares is " + strconv.FormatFloat(v, 'g', 6, 64) + ", and " + g.threshold.text + " needs a person"
		}
	}
	if !declared && g.Undeclared == "escalate" {
		return "it declares no " + name
	}
	return ""
}

// isNumber tells a number of JSON from what Go reads besides.
func isNumber(raw []byte) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }
