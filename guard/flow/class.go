package flow

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// substance is how much there is in a message to the client.
type substance uint8

const (
	empty substance = iota // nothing that the server chose
	words                  // the server's own words: descriptions, instructions
	data
)

// substanceOf takes whatever it does not know for data.
func substanceOf(topic string) substance {
	switch topic {
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "roots/list", "notifications/tools/list_changed",
		"notifications/prompts/list_changed", "notifications/resources/list_changed", "notifications/subscriptions/acknowledged", "notifications/elicitation/complete":
		return empty
	}
	if mcp.Describes(topic) {
		return words
	}
	return data
}

// label says of a message to the client what the registry and the configuration
// know of it, and how sensitive what others found makes it.
func (f *flow) label(x *guard.Exchange, m *mcp.Message) (out []guard.Obligation) {
	topic := x.Topic(m)
	what := substanceOf(topic)
	if what == empty {
		if m.Kind != mcp.Failure {
			return nil
		}
		what = data // what went wrong is told in the server's words
	}
	add := func(l string) {
		if l != "" && !slices.Contains(x.Labels(), l) {
			out = append(out, guard.Obligation{Kind: guard.AddLabel, Name: l})
		}
	}
	if f.follows[labelUntrusted] != nil && f.untrusted(x, topic) {
		add(labelUntrusted)
	}
	if what == data {
		class := f.classify(x, m, topic)
		for i := range f.Raise {
			if r := &f.Raise[i]; guard.Rank(r.Classification) > guard.Rank(class) && slices.Contains(x.Labels(), r.Label) {
				class = r.Classification
			}
		}
		if !slices.ContainsFunc(x.Labels(), func(l string) bool { return guard.Rank(l) > guard.Rank(class) }) {
			add(class)
		}
	}
	return out
}

// untrusted reports whether strangers may have written the message.
func (f *flow) untrusted(x *guard.Exchange, topic string) bool {
	for _, p := range f.Untrusted.From {
		if notation.MatchAny([]string{p}, x.Server.Name) || strings.Contains(p, "/") && notation.MatchAny([]string{p}, x.Server.Name+"/"+x.Asked.Name) {
			return true
		}
		// What comes late, or on a stream of the server's own, may be of any name.
		if server, _, named := strings.Cut(p, "/"); named && (late(topic) || unasked(topic) && x.Asked.Name == "") && notation.MatchAny([]string{server}, x.Server.Name) {
			return true
		}
	}
	if !f.Untrusted.External {
		return false
	}
	if ofCall(x, topic) {
		t, known := x.Server.Tool(x.Asked.Name)
		return known && t.External && t.ReadOnly
	}
	if substanceOf(topic) == words || !late(topic) && !unasked(topic) {
		return false
	}
	for _, t := range x.Server.Tools {
		if t.External && t.ReadOnly {
			return true
		}
	}
	return false
}

// ofCall reports whether a message is a tool's answer, or what a server says or
// asks on its way there: a page can be told as progress, too, or as a question,
// and the answer be left for ever.
func ofCall(x *guard.Exchange, topic string) bool {
	return topic == "tools/call" || x.Asked.Method == "tools/call" && unasked(topic)
}

// unasked reports whether a server sends a message of its own accord, and words
// of any kind with it.
func unasked(topic string) bool {
	switch topic {
	case "notifications/progress", "notifications/message", "notifications/cancelled", "sampling/createMessage", "elicitation/create":
		return true
	}
	return false
}

// late reports whether a message may hold the result of a call that an earlier
// exchange made, of any tool, or say in words how that goes.
func late(topic string) bool {
	switch topic {
	case guard.TopicResponse, "notifications/tasks", "notifications/tasks/status":
		return true
	}
	return strings.HasPrefix(topic, "tasks/")
}

// classify is how sensitive a message is by what is registered: of a tool its
// own classification, else its server's, and that of its fields.
func (f *flow) classify(x *guard.Exchange, m *mcp.Message, topic string) string {
	class := x.Server.Classification
	higher := func(c string) {
		if guard.Rank(c) > guard.Rank(class) {
			class = c
		}
	}
	switch {
	case late(topic), unasked(topic) && x.Asked.Name == "": // the worst that it can be
		for name, t := range x.Server.Tools {
			higher(t.Classification)
			for _, field := range x.Server.FieldsOf(name) {
				higher(field.Classification)
			}
		}
	case ofCall(x, topic):
		if t, known := x.Server.Tool(x.Asked.Name); known && t.Classification != "" {
			class = t.Classification
		}
		for _, field := range x.Server.FieldsOf(x.Asked.Name) {
			if field.Results && guard.Rank(field.Classification) > guard.Rank(class) && (inResult(m.Result, steps(field.Path)) || inParams(m.Params, steps(field.Path))) {
				class = field.Classification
			}
		}
	}
	if class == "" {
		return f.Unstated
	}
	return class
}

// arguments labels a call with the classification of the fields that it fills in.
func (f *flow) arguments(x *guard.Exchange, m *mcp.Message, out []guard.Obligation) []guard.Obligation {
	if m.Method != "tools/call" {
		return out
	}
	class := ""
	var args json.RawMessage
	for _, field := range x.Server.FieldsOf(m.Name) {
		if !field.Arguments || guard.Rank(field.Classification) <= guard.Rank(class) {
			continue
		}
		if args == nil {
			args, _ = mcp.Member(m.Params, "arguments")
		}
		if present(args, steps(field.Path)) {
			class = field.Classification
		}
	}
	if class != "" {
		out = append(out, guard.Obligation{Kind: guard.AddLabel, Name: guard.OfArguments + class})
	}
	return out
}

func steps(path string) []string {
	list := strings.Split(path[min(1, len(path)):], "/")
	for i, s := range list {
		list[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return list
}

// present reports whether a value holds something at a path. Names count in any
// spelling, since many a server reads them so; null is nothing.
func present(v json.RawMessage, path []string) bool {
	if len(v) == 0 || string(v) == "null" {
		return false
	}
	if len(path) == 0 {
		return true
	}
	switch v[0] {
	case '{':
		for name, below := range mcp.Members(v) {
			if (path[0] == "*" || strings.EqualFold(name, path[0])) && present(below, path[1:]) {
				return true
			}
		}
	case '[':
		for below := range mcp.Elements(v) { // a path leads through lists, whatever their length is
			if path[0] == "*" && present(below, path[1:]) || path[0] != "*" && present(below, path) {
				return true
			}
		}
	}
	return false
}

// inResult looks at the structured content, and at the texts that repeat it. A
// text that looks like JSON, and is none that two readers read alike, may hold
// anything.
func inResult(result json.RawMessage, path []string) bool {
	if structured, ok := mcp.Member(result, "structuredContent"); ok && present(structured, path) {
		return true
	}
	blocks, _ := mcp.Member(result, "content")
	if len(blocks) == 0 || blocks[0] != '[' {
		return false
	}
	for block := range mcp.Elements(blocks) {
		text := mcp.Text(block, "text")
		if r, ok := mcp.Member(block, "resource"); ok && text == "" {
			text = mcp.Text(r, "text")
		}
		if inText(text, path) {
			return true
		}
	}
	return false
}

func inText(text string, path []string) bool {
	text = strings.Trim(text, " \t\r\n")
	if text == "" || text[0] != '{' && text[0] != '[' {
		return false
	}
	m, fault := texts.Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","id":0,"result":{"":`+text+`}}`))
	if fault != nil {
		return true
	}
	value, ok := mcp.Member(m.Result, "")
	return !ok || len(value) != len(text) || present(value, path) // it may close the object around it
}

// inParams looks at what a server says on the way to a result: what it logs, and
// texts that are JSON.
func inParams(params json.RawMessage, path []string) bool {
	data, _ := mcp.Member(params, "data")
	return present(data, path) || inText(mcp.Text(params, "data"), path) || inText(mcp.Text(params, "message"), path)
}

// texts reads JSON within texts; the message around them is bounded already.
var texts = mcp.NewDecoder(mcp.Config{Limits: mcp.Limits{Bytes: 1 << 30}})
