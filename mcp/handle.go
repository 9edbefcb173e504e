package mcp

import "strings"

// Handle says whose word a value is that only comes back to whoever made it, as it
// was made: nobody else reads anything in it, and nobody may change it.
type Handle uint8

// The handles. Everything else is content.
const (
	NoHandle Handle = iota
	Own             // the sender made it, and the receiver only says it again: an id, a progress token
	Issued          // the receiver made it, and gets it back: a cursor, the state of a request, a task
)

// MayBeHandle reports whether any handle has this name: what has another need not
// be looked up by its place.
func MayBeHandle(name []byte) bool {
	switch string(name) {
	case "id", "nextCursor", "cursor", "requestState", "progressToken", "taskId", "requestId":
		return true
	}
	return false
}

// relatedTaskToken is the metadata key of tasks as it stands in JSON pointers.
const relatedTaskToken = "io.modelcontextprotocol~1related-task"

// Handle tells what stands at a JSON pointer of the message. Only the protocol's own
// places hold handles: in arguments and results a name says nothing.
func (m *Message) Handle(pointer string) Handle {
	switch pointer {
	case "/id":
		if m.IsResponse() {
			return Issued
		}
		return Own
	case "/params/cursor": // elsewhere it is the sender's own word
		return onlyIf(strings.HasSuffix(m.Method, "/list"), Issued)
	case "/params/taskId":
		if strings.HasPrefix(m.Method, "notifications/") {
			return onlyIf(strings.HasPrefix(m.Method, "notifications/tasks"), Own)
		}
		return onlyIf(strings.HasPrefix(m.Method, "tasks/"), Issued)
	case "/params/progressToken":
		return onlyIf(strings.HasPrefix(m.Method, "notifications/"), Issued)
	case "/params/requestId":
		return onlyIf(strings.HasPrefix(m.Method, "notifications/"), Own)
	case "/params/requestState":
		return Issued
	case "/params/_meta/" + relatedTaskToken + "/taskId":
		if m.Kind == Request {
			return Issued
		}
		return Own
	case "/params/_meta/progressToken", "/result/nextCursor", "/result/requestState", "/result/taskId", "/result/task/taskId",
		"/result/_meta/" + relatedTaskToken + "/taskId":
		return Own
	}
	at, ok := strings.CutPrefix(pointer, "/result/tasks/") // of tasks/list
	at, ends := strings.CutSuffix(at, "/taskId")
	return onlyIf(ok && ends && !strings.Contains(at, "/"), Own)
}

func onlyIf(ok bool, h Handle) Handle {
	if ok {
		return h
	}
	return NoHandle
}
