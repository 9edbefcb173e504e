package binding

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Members of _meta that name tasks, and their tokens in JSON pointers.
const (
	related       = "io.modelcontextprotocol/related-task"
	relatedToken  = "io.modelcontextprotocol~1related-task"
	relatedIDs    = "io.modelcontextprotocol/relatedTaskIds"
	relatedIDsTok = "io.modelcontextprotocol~1relatedTaskIds"
)

// maxListed bounds how many tasks a client may name in one message.
const maxListed = 1000

// translation turns the task ids of one message from one side's words into the
// other's.
type translation struct {
	g *binding
	x *guard.Exchange

	edits    []mcp.Edit
	unknown  string // why the client's message is refused
	unusable string // why the server's is
}

// toServer opens what a client may name: tasks that the server made for it. What
// clients say of their own tasks, which servers may have them run, stays.
func (t *translation) toServer(m *mcp.Message) {
	switch m.Method {
	case "tasks/get", "tasks/result", "tasks/cancel", "tasks/update":
		id, ok := t.open(m.Name)
		if !ok {
			t.unknown = "the task id was not made for this caller, or its key is gone"
			return
		}
		named.Set(t.x, [2]string{m.Name, id})
		t.set("/params/taskId", id)
	case "subscriptions/listen":
		t.openAll(m.Params, "/params", "notifications", "taskIds")
	}
	strict := m.Kind == mcp.Request
	t.openRelated(m.Meta(), "/params/_meta/", strict)
	if m.Kind == mcp.Response {
		if meta, ok := mcp.Member(m.Result, "_meta"); ok {
			t.openRelated(meta, "/result/_meta/", strict)
		}
	}
}

// openRelated opens what a message says it is about. Answers and notifications
// may be about a task that the client runs, whose id is its own.
func (t *translation) openRelated(meta json.RawMessage, base string, strict bool) {
	if meta == nil {
		return
	}
	if task, ok := t.member(meta, related); ok {
		if value, ok := t.member(task, "taskId"); ok {
			text, err := mcp.Unquote(value)
			switch id, ok := t.open(text); {
			case err == nil && ok:
				t.set(base+relatedToken+"/taskId", id)
			case strict:
				t.unknown = "the related task was not made for this caller"
			}
		}
	}
	if strict {
		t.openAll(meta, base[:len(base)-1], relatedIDs)
	}
}

// openAll opens a list of task ids, which the names lead to from object.
func (t *translation) openAll(object json.RawMessage, pointer string, names ...string) {
	list := object
	for _, name := range names {
		inner, ok := t.member(list, name)
		if !ok {
			return
		}
		list = inner
		if name == relatedIDs {
			name = relatedIDsTok
		}
		pointer += "/" + name
	}
	if list[0] != '[' && string(list) != "null" {
		t.unknown = "a list of tasks is no list"
	}
	out, n := []byte{'['}, 0
	for item := range mcp.Elements(list) {
		text, err := mcp.Unquote(item)
		id, ok := t.open(text)
		if n++; err != nil || !ok || n > maxListed {
			t.unknown = "a task of a list was not made for this caller, or the list is too long"
			return
		}
		if n > 1 {
			out = append(out, ',')
		}
		out = mcp.AppendQuote(out, id)
	}
	if n > 0 {
		t.edits = append(t.edits, mcp.SetPointer(pointer, append(out, ']')))
	}
}

// member returns a member of what a client wrote. Some servers read names
// without regard to case, so another spelling is refused as a way round this.
func (t *translation) member(object json.RawMessage, name string) (value json.RawMessage, ok bool) {
	for have, v := range mcp.Members(object) {
		switch {
		case have == name:
			value, ok = v, true
		case strings.EqualFold(have, name):
			t.unknown = "another spelling of " + name
		}
	}
	return value, ok
}

// hint is in every name by which a message speaks of tasks. A server that
// escapes it hides the id from the client as well, who cannot use what is not
// sealed.
var hint = []byte("askId")

// toClient seals what a server may name: tasks that it made for the client.
func (t *translation) toClient(m *mcp.Message, topic string) {
	if !bytes.Contains(m.Raw, hint) {
		return
	}
	switch {
	case m.Kind == mcp.Response:
		t.result(m.Result, topic)
	case m.Method == "notifications/tasks/status", m.Method == "notifications/tasks":
		t.seal(m.Params, "/params")
	case m.Method == "notifications/subscriptions/acknowledged":
		if about, ok := mcp.Member(m.Params, "notifications"); ok {
			t.sealAll(about, "/params/notifications")
		}
	}
	if meta := m.Meta(); meta != nil {
		t.sealRelated(meta, "/params/_meta/")
	}
}

// result seals what a result may hold: a task that was made instead of a result,
// one that was asked about, several, and the one that all of it is about.
func (t *translation) result(result json.RawMessage, topic string) {
	kind, _ := text(result, "resultType")
	_, status := text(result, "status")
	switch {
	case topic == "tasks/get", topic == "tasks/cancel", topic == "tasks/update", kind == "task", topic == guard.TopicResponse && status:
		t.seal(result, "/result")
	case topic == "tasks/list":
		t.sealTasks(result)
	}
	if task, ok := mcp.Member(result, "task"); ok {
		t.seal(task, "/result/task")
	}
	if meta, ok := mcp.Member(result, "_meta"); ok {
		t.sealRelated(meta, "/result/_meta/")
	}
}

func (t *translation) sealRelated(meta json.RawMessage, base string) {
	if task, ok := mcp.Member(meta, related); ok {
		t.seal(task, base+relatedToken)
	}
}

// seal seals the taskId of an object.
func (t *translation) seal(object json.RawMessage, pointer string) {
	if id, ok := text(object, "taskId"); ok {
		t.set(pointer+"/taskId", t.sealed(id))
	}
}

// sealAll seals the taskIds of an object.
func (t *translation) sealAll(object json.RawMessage, pointer string) {
	list, ok := mcp.Member(object, "taskIds")
	if !ok {
		return
	}
	out := []byte{'['}
	for item := range mcp.Elements(list) {
		id, err := mcp.Unquote(item)
		if err != nil {
			t.unusable = "taskIds are no list of strings"
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = mcp.AppendQuote(out, t.sealed(id))
	}
	t.edits = append(t.edits, mcp.SetPointer(pointer+"/taskIds", append(out, ']')))
}

// sealTasks seals a list of tasks in one go, however long it is.
func (t *translation) sealTasks(result json.RawMessage) {
	list, ok := mcp.Member(result, "tasks")
	if !ok {
		return
	}
	out := append(make([]byte, 0, len(list)+len(list)/2), '[')
	for task := range mcp.Elements(list) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		start, end, ok := mcp.Locate(task, "/taskId")
		id, err := mcp.Unquote(task[start:end])
		if !ok || err != nil {
			out = append(out, task...)
			continue
		}
		out = append(out, task[:start]...)
		out = mcp.AppendQuote(out, t.sealed(id))
		out = append(out, task[end:]...)
	}
	t.edits = append(t.edits, mcp.SetPointer("/result/tasks", append(out, ']')))
}

func (t *translation) open(text string) (id string, ok bool) {
	return t.g.sealer.Open(Task, t.x, text)
}

func (t *translation) sealed(id string) string {
	if own, ok := named.Get(t.x); ok && own[1] == id {
		return own[0]
	}
	text, ok := t.g.sealer.Seal(Task, t.x, id)
	if !ok {
		t.unusable = "a task id is empty or too long to be sealed"
	}
	return text
}

func (t *translation) set(pointer, value string) {
	t.edits = append(t.edits, mcp.SetPointer(pointer, mcp.AppendQuote(nil, value)))
}

// text returns a member that is a string.
func text(object json.RawMessage, name string) (string, bool) {
	value, ok := mcp.Member(object, name)
	if !ok {
		return "", false
	}
	s, err := mcp.Unquote(value)
	return s, err == nil
}
