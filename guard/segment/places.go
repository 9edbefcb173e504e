package segment

import (
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// place is where a signature can stand.
type place struct {
	pointer string
	about   segment.About
	raw     json.RawMessage
	late    bool // the request was another exchange's, so its name is not known
}

// places returns what of a message a model reads.
func (g *verifier) places(x *guard.Exchange, m *mcp.Message) []place {
	about := segment.About{Server: x.Server.Name, Part: segment.Whole}
	if m.Kind == mcp.Request {
		if m.Method != "sampling/createMessage" || m.Params == nil {
			return nil
		}
		about.Method = m.Method
		return []place{{pointer: "/params", about: about, raw: m.Params}}
	}
	if m.Method == "notifications/tasks" {
		return g.ofTask(x, about, "/params", m.Params, mcp.Text(m.Params, "taskId"))
	}
	if m.Kind != mcp.Response || m.Result == nil {
		return nil
	}
	if topic := x.Topic(m); topic == "tasks/get" {
		id, _ := task.Get(x)
		return g.ofTask(x, about, "/result", m.Result, id)
	}
	// What a server asks stands beside what it answers, and takes nothing away from
	// that: a client of a revision without inputRequests reads the answer alone.
	var out []place
	if requests, ok := mcp.Member(m.Result, "inputRequests"); ok {
		out = nested(about, "/result", requests)
	}
	late := false
	switch topic := x.Topic(m); topic {
	case "prompts/get", "tools/call", "resources/read":
		about.Method, about.Name = topic, x.Asked.Name
	case "initialize", "server/discover":
		about.Method = "initialize"
	case "tasks/result":
		about.Method, late = likely(m.Result), true
		if id, ok := task.Get(x); ok && g.tool != nil {
			if name, known := g.tool(x, id); known {
				about.Method, about.Name, late = "tools/call", name, false
			}
		}
	default: // what it answers is not known, and so neither is what it has to be signed for
		about.Method, late = likely(m.Result), true
	}
	if about.Method == "" || !reads(m.Result, about.Method) {
		return out
	}
	return append(out, place{"/result", about, m.Result, late})
}

// ofTask are the places of a message that tells how a task stands: by MCP
// 2026-07-28 it holds the result and the questions.
func (g *verifier) ofTask(x *guard.Exchange, about segment.About, at string, part json.RawMessage, id string) (out []place) {
	if requests, ok := mcp.Member(part, "inputRequests"); ok {
		out = nested(about, at, requests)
	}
	result, ok := mcp.Member(part, "result")
	if about.Method = likely(result); !ok || about.Method == "" || about.Method == "initialize" {
		return out
	}
	late := true
	if id != "" && g.tool != nil {
		if name, known := g.tool(x, id); known {
			about.Method, about.Name, late = "tools/call", name, false
		}
	}
	return append(out, place{at + "/result", about, result, late})
}

// nested are the requests that a server wants the client to answer.
func nested(about segment.About, at string, requests json.RawMessage) (out []place) {
	for key, r := range mcp.Members(requests) {
		if params, ok := mcp.Member(r, "params"); ok && mcp.Text(r, "method") == "sampling/createMessage" {
			about.Method = "sampling/createMessage"
			out = append(out, place{pointer: at + "/inputRequests/" + token(key) + "/params", about: about, raw: params})
		}
	}
	return out
}

// likely is the method that a result answers, by its members.
func likely(result json.RawMessage) string {
	for _, method := range [...]string{"prompts/get", "resources/read", "tools/call", "initialize"} {
		if reads(result, method) {
			return method
		}
	}
	return ""
}

// reads reports whether there is something in raw that a model reads.
func reads(raw json.RawMessage, method string) bool {
	for _, name := range segment.Covered(method) {
		if name == "description" || name == "isError" {
			continue
		}
		if _, ok := mcp.Member(raw, name); ok {
			return true
		}
	}
	return false
}

func token(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
