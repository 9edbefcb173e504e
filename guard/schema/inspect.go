package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// mostUnknown bounds the edits of one message.
const mostUnknown = 256

// Inspect holds a call, or what answers it, against the pinned schemas.
func (g *checker) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	switch {
	case m.Direction == mcp.ToServer && m.Kind == mcp.Request && m.Method == "tools/call":
		return g.call(x, m), nil
	case g.Results == "off":
	case m.Direction == mcp.ToServer && (m.Method == "tasks/result" || m.Method == "tasks/get"):
		asked.Set(x, strings.Clone(m.Name)) // in the server's words; the exchange has the client's
	case m.Direction == mcp.ToClient && m.Kind == mcp.Response && m.Result != nil && x.Asked.Method == "tools/call":
		g.begun(x, m.Result)
		return g.result(x, x.Asked.Name, m.Result, ""), nil
	case m.Direction == mcp.ToClient && g.tasks != nil:
		return g.task(x, m), nil
	}
	return guard.Pass(), nil
}

// asked is the task that the client's message names.
var asked = guard.NewSlot[string]()

// begun notes the task that a call made instead of a result.
func (g *checker) begun(x *guard.Exchange, result json.RawMessage) {
	if g.tasks == nil {
		return
	}
	about := result // MCP 2026-07-28, tasks
	if task, ok := mcp.Member(result, "task"); ok {
		about = task // 2025-11-25
	}
	if id := mcp.Text(about, "taskId"); id != "" {
		g.tasks.Remember(x, id, x.Asked.Name)
	}
}

// task judges the result of a tool that comes as the result of a task.
func (g *checker) task(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	id, _ := asked.Get(x)
	result, at, ok := m.Result, "", m.Result != nil
	switch x.Topic(m) {
	case "tasks/result":
	case "tasks/get":
		result, ok = mcp.Member(m.Result, "result")
		at = "/result"
	case "notifications/tasks":
		id = mcp.Text(m.Params, "taskId")
		result, ok = mcp.Member(m.Params, "result")
		at = "/result"
	default:
		return guard.Pass()
	}
	if !ok || len(result) == 0 || result[0] != '{' {
		return guard.Pass() // it goes on, or has failed
	}
	tool, known := g.tasks.Tool(x, id)
	if !known {
		return guard.Verdict{Action: guard.Allow, Detail: "it is not known which tool made the task"}
	}
	v := g.result(x, tool, result, at)
	v.Result = false // it answers no call
	return v
}

func (g *checker) call(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	facts, _ := x.Server.Tool(m.Name)
	tool, _ := g.schemas.Tool(x.Server.Name, m.Name)
	if tool.Input == nil {
		if facts.Sensitive && g.Sensitive == "refuse" {
			return guard.Refuse(SchemaUnknown, "no usable inputSchema is pinned: "+tool.InputTrouble)
		}
		return guard.Verdict{Action: guard.Allow, Detail: tool.InputTrouble}
	}
	if g.Arguments == "off" {
		return guard.Pass()
	}
	unknown := g.Unknown
	if facts.Sensitive {
		unknown = "refuse"
	}
	arguments, given := mcp.Member(m.Params, "arguments")
	if !given {
		arguments = json.RawMessage("{}")
	}
	r := tool.Input.Check(arguments, unknown != "allow")
	if r.Keyword == "" && len(r.Unknown) > 0 && (unknown == "refuse" || len(r.Unknown) > mostUnknown) {
		r.Keyword, r.Path = "unknown_properties", r.Unknown[0].Path
	}
	if r.Keyword != "" {
		return verdict(ArgumentsInvalid, g.Arguments, "/arguments", &r)
	}
	v := guard.Pass()
	if len(r.Unknown) > 0 && g.Arguments == "enforce" {
		v.Detail = fmt.Sprintf("stripped %d unknown properties", len(r.Unknown))
		for _, p := range r.Unknown {
			v.Edits = append(v.Edits, mcp.RemoveMember("/params/arguments"+p.Pointer))
		}
	}
	return v
}

// result judges the result of a tool, which stands at prefix.
func (g *checker) result(x *guard.Exchange, name string, result json.RawMessage, prefix string) guard.Verdict {
	tool, _ := g.schemas.Tool(x.Server.Name, name)
	if tool.Output == nil || !complete(result) {
		return guard.Verdict{Action: guard.Allow, Detail: tool.OutputTrouble}
	}
	content, given := mcp.Member(result, "structuredContent")
	r := Report{Keyword: "required", Name: "structuredContent"}
	switch {
	case given:
		r = tool.Output.Check(content, false)
	case x.Revision < mcp.R20250618:
		return guard.Pass() // it has no structured content
	}
	if r.Keyword == "" {
		return guard.Pass()
	}
	at := prefix
	if given {
		at += "/structuredContent"
	}
	return verdict(ResultInvalid, g.Results, at, &r)
}

// complete reports whether a result is one that a schema describes: no error,
// no question to the client and no task that only begins. What has structured
// content is a result whatever it says of itself, since not every client reads
// resultType or task; a question may have a content that is empty.
func complete(result json.RawMessage) bool {
	if e, ok := mcp.Member(result, "isError"); ok && string(e) == "true" {
		return false
	}
	if _, ok := mcp.Member(result, "structuredContent"); ok {
		return true
	}
	if t, ok := mcp.Member(result, "resultType"); ok && (string(t) == `"input_required"` || string(t) == `"task"`) {
		return false
	}
	_, task := mcp.Member(result, "task")
	return !task
}

// verdict refuses, or tells people. What it says to the client comes from the
// schema alone.
func verdict(reason guard.Reason, mode, at string, r *Report) guard.Verdict {
	said := at + r.Path + ": " + r.Keyword
	if r.Name != "" {
		said += " (" + r.Name + ")"
	}
	said = line(said)
	if mode != "enforce" {
		return guard.Verdict{Action: guard.Allow, Detail: said, Obligations: []guard.Obligation{{Kind: guard.Raise, Name: string(reason), Value: said}}}
	}
	return guard.Verdict{Reason: reason, Detail: said, Hint: said, Result: true}
}

// line makes what the schema names fit for one line of a hint.
func line(s string) string {
	const most = 400
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
