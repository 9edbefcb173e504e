package mcp

import (
	"maps"
	"slices"
)

// RevisionSet is a set of revisions.
type RevisionSet uint8

func revisions(rs ...Revision) RevisionSet {
	var s RevisionSet
	for _, r := range rs {
		s |= 1 << r
	}
	return s
}

// has reports whether r is in the set.
func (s RevisionSet) has(r Revision) bool { return s&(1<<r) != 0 }

// Target says which part of a method's params names what it works on.
type Target uint8

// The targets. [Message.Name] holds the value.
const (
	TargetNone   Target = iota
	TargetTool          // params.name
	TargetPrompt        // params.name
	TargetURI           // params.uri, of a resource
	TargetTask          // params.taskId
	TargetRef           // params.ref.name of a prompt, or params.ref.uri of a resource template
)

// Method is one method of the protocol.
type Method struct {
	Name       string
	Kind       Kind        // Request or Notification
	ToServer   RevisionSet // in which a client may send it
	ToClient   RevisionSet // in which a server may send it
	Target     Target
	NameHeader bool // modern: the Mcp-Name header carries the target
}

// Allows reports whether the method may travel in direction d in revision r.
func (m Method) Allows(d Direction, r Revision) bool {
	if d == ToClient {
		return m.ToClient.has(r)
	}
	return m.ToServer.has(r)
}

// LookupMethod returns the protocol's method called name, which is compared
// byte for byte.
func LookupMethod(name string) (Method, bool) {
	m, ok := methodTable[name]
	if !ok {
		return Method{}, false
	}
	return *m, true
}

// Describes reports whether the result of a method is what a server says of itself,
// or of what it offers, rather than what it was called for.
func Describes(method string) bool {
	switch method {
	case "initialize", "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list":
		return true
	}
	return false
}

// Methods returns every method of the protocol, sorted by name.
func Methods() []Method {
	out := make([]Method, 0, len(methodTable))
	for _, name := range slices.Sorted(maps.Keys(methodTable)) {
		out = append(out, *methodTable[name])
	}
	return out
}

// methodTable holds the methods of all revisions (MCP, schema.ts of each).
// Values are never changed.
var methodTable = func() map[string]*Method {
	const none RevisionSet = 0
	legacy := revisions(R20250326, R20250618, R20251125)
	modern := revisions(R20260728)
	every := legacy | modern
	tasks := revisions(R20251125)
	elicit := revisions(R20250618, R20251125)

	list := []Method{
		{Name: "initialize", ToServer: legacy},
		{Name: "server/discover", ToServer: modern},
		{Name: "ping", ToServer: legacy, ToClient: legacy},
		{Name: "tools/list", ToServer: every},
		{Name: "tools/call", ToServer: every, Target: TargetTool, NameHeader: true},
		{Name: "resources/list", ToServer: every},
		{Name: "resources/templates/list", ToServer: every},
		{Name: "resources/read", ToServer: every, Target: TargetURI, NameHeader: true},
		{Name: "resources/subscribe", ToServer: legacy, Target: TargetURI},
		{Name: "resources/unsubscribe", ToServer: legacy, Target: TargetURI},
		{Name: "prompts/list", ToServer: every},
		{Name: "prompts/get", ToServer: every, Target: TargetPrompt, NameHeader: true},
		{Name: "completion/complete", ToServer: every, Target: TargetRef},
		{Name: "logging/setLevel", ToServer: legacy},
		{Name: "subscriptions/listen", ToServer: modern},

		{Name: "tasks/get", ToServer: tasks | modern, ToClient: tasks, Target: TargetTask, NameHeader: true},
		{Name: "tasks/cancel", ToServer: tasks | modern, ToClient: tasks, Target: TargetTask, NameHeader: true},
		{Name: "tasks/update", ToServer: modern, Target: TargetTask, NameHeader: true},
		{Name: "tasks/result", ToServer: tasks, ToClient: tasks, Target: TargetTask},
		{Name: "tasks/list", ToServer: tasks, ToClient: tasks},

		// In the modern era these travel inside results, never as messages.
		{Name: "sampling/createMessage", ToClient: legacy},
		{Name: "elicitation/create", ToClient: elicit},
		{Name: "roots/list", ToClient: legacy},

		{Name: "notifications/initialized", ToServer: legacy},
		{Name: "notifications/roots/list_changed", ToServer: legacy},
		// The modern text has clients cancel by closing the stream, but
		// go-sdk 1.8.0 also posts the notification, and takes a refusal of
		// it for the end of the connection. It can only name a request of
		// its own sender, so it is let through.
		{Name: "notifications/cancelled", ToServer: every, ToClient: every},
		{Name: "notifications/progress", ToServer: legacy, ToClient: every},
		{Name: "notifications/message", ToClient: every},
		{Name: "notifications/tools/list_changed", ToClient: every},
		{Name: "notifications/prompts/list_changed", ToClient: every},
		{Name: "notifications/resources/list_changed", ToClient: every},
		{Name: "notifications/resources/updated", ToClient: every, Target: TargetURI},
		{Name: "notifications/subscriptions/acknowledged", ToClient: modern},
		{Name: "notifications/elicitation/complete", ToServer: none, ToClient: tasks},
		{Name: "notifications/tasks/status", ToServer: tasks, ToClient: tasks, Target: TargetTask},
		{Name: "notifications/tasks", ToClient: modern, Target: TargetTask},
	}
	table := make(map[string]*Method, len(list))
	for i := range list {
		list[i].Kind = Request
		if isNotification(list[i].Name) {
			list[i].Kind = Notification
		}
		table[list[i].Name] = &list[i]
	}
	return table
}()

// CheckMethod refuses messages whose method the protocol does not have, or not
// in revision r or this direction. Responses pass; the methods that the
// configuration adds pass, except that a modern server has no requests.
//
// [Transport] messages pass in legacy revisions only: the modern era has
// neither GET nor DELETE.
func (d *Decoder) CheckMethod(m *Message, r Revision) *Fault {
	switch m.Kind {
	case Response, Failure:
		return nil
	case Transport:
		if r.Modern() || m.Method != MethodListen && m.Method != MethodClose {
			return transportFault(m, 405, "this revision has no such HTTP method")
		}
		return nil
	}
	if method, ok := methodTable[m.Method]; ok {
		if method.Allows(m.Direction, r) {
			return nil
		}
		return unknownMethod(m, r, "the method does not exist in this revision and direction")
	}
	if _, ok := d.extra[m.Method]; ok && (m.Kind == Notification || m.Direction == ToServer || !r.Modern()) {
		return nil
	}
	return unknownMethod(m, r, "the method is neither the protocol's nor configured")
}

func unknownMethod(m *Message, r Revision, detail string) *Fault {
	f := &Fault{Reason: ReasonUnknownMethod, Status: 200, Code: CodeMethodNotFound, ID: m.ID, Detail: detail, Offset: -1}
	if r.Modern() {
		f.Status = 404
	}
	return f
}

func transportFault(m *Message, status int, detail string) *Fault {
	return &Fault{Reason: ReasonWrongTransport, Status: status, Code: CodeInvalidRequest, ID: m.requestID(), Detail: detail, Offset: -1}
}

// requestID returns the id that an answer to m carries: only requests have one.
func (m *Message) requestID() []byte {
	if m.Kind == Request {
		return m.ID
	}
	return nil
}
