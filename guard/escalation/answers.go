package escalation

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// What a server asks for on its own, by elicitation or sampling, it can use for
// whatever it does. So an answer counts as the worst that its tools do: otherwise a
// tool that only reads could ask for what a call that is held would have brought.

// answers reports whether the message gives a server what it asked for: consent,
// what a person has filled in, or what a model has written. Up to 2025-11-25 that
// is a response of the client, afterwards it stands in the request that is sent
// again, or in an update of a task.
func answers(m *mcp.Message) bool {
	if m.Kind == mcp.Response {
		return gives(m.Result)
	}
	responses, ok := mcp.Member(m.Params, "inputResponses")
	if !ok {
		return false
	}
	if len(responses) == 0 || responses[0] != '{' {
		return true // what it is nobody knows, so the server may take it for an answer
	}
	for _, r := range mcp.Members(responses) {
		if gives(r) {
			return true
		}
	}
	return false
}

// gives reports whether an answer holds more than a no, an acknowledgement, the
// state of a task or the list of roots, which the server has no say in.
func gives(answer json.RawMessage) bool {
	if len(answer) == 0 || answer[0] != '{' {
		return true
	}
	for name, v := range mcp.Members(answer) {
		switch name {
		case "action":
			if s, err := mcp.Unquote(v); err != nil || s != "decline" && s != "cancel" {
				return true
			}
		case "content":
			if s := strings.Join(strings.Fields(string(v)), ""); s != "null" && s != "{}" {
				return true
			}
		case "_meta", "resultType", "roots", "task", "tasks", "nextCursor", "taskId", "status", "statusMessage", "createdAt", "lastUpdatedAt", "ttl", "pollInterval":
		default:
			return true
		}
	}
	return false
}

// review decides about an answer. The word of the registry on one tool is no help:
// the server may use the answer in another.
func (g *escalation) review(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	b := &g.Boundary
	if tool, c, ok := g.worst(x, b.ApprovalRequired); ok {
		return g.answer(x, m, "approval_required: "+b.ApprovalRequired, tool, c)
	}
	if label := g.approved(x); label != "" {
		return g.hold(x, m, "label "+label, "answer", "the gateway labelled it "+label)
	}
	tool, c, ok := g.worst(x, b.HumanInLoop)
	switch {
	case !ok:
		return guard.Pass()
	case g.HumanInLoop == "hold":
		return g.answer(x, m, "human_in_loop: "+b.HumanInLoop, tool, c)
	}
	return g.watch(b.HumanInLoop + ": an answer to the server, whose tool " + tool + " may use it: " + c.why())
}

// answer holds an answer, or has it watched where the operator leaves answers to
// the person who gives them.
func (g *escalation) answer(x *guard.Exchange, m *mcp.Message, rule, tool string, c class) guard.Verdict {
	if g.Answers == "watch" {
		return g.watch(rule + "; an answer to the server, whose tool " + tool + " may use it: " + c.why())
	}
	why := "the server that asks can use it for what needs approval: " + c.why()
	if c.unknown {
		why = "the registry does not say what tools of the server that asks do, so that it may use it for anything"
	}
	v := g.hold(x, m, rule, "answer", why)
	v.Detail += " (tool " + tool + ")" // which not every caller may know of
	v.Obligations[0].Value = v.Detail
	return v
}

// worst returns a tool of the server that does one of the actions, of several the
// first by name. Of a server of which nothing is described nothing is known.
func (g *escalation) worst(x *guard.Exchange, actions string) (name string, worst class, found bool) {
	if len(x.Server.Tools) == 0 {
		c := g.marked(x, class{write: true, external: true, financial: true, unknown: true})
		found = c.is(actions)
		return "*", c, found
	}
	for tool, facts := range x.Server.Tools {
		if found && tool > name {
			continue
		}
		if c := g.marked(x, classOf(facts)); c.is(actions) {
			name, worst, found = tool, c, true
		}
	}
	return name, worst, found
}
