package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// rules are the method rules of one direction.
type rules struct{ allowed, denied []guard.Want }

// rule adds the pattern s to one direction, or to both: "sampling/*",
// "to_client:sampling/*".
func (g *envelope) rule(s string, add func(*rules, guard.Want)) error {
	directions := []mcp.Direction{mcp.ToServer, mcp.ToClient}
	method := s
	for _, d := range directions {
		if rest, ok := strings.CutPrefix(s, d.String()+":"); ok {
			method, directions = rest, []mcp.Direction{d}
			break
		}
	}
	prefix, wild := strings.CutSuffix(method, "*")
	if prefix == "" || wild && !strings.HasSuffix(prefix, "/") || strings.ContainsAny(prefix, "*: \t") {
		return fmt.Errorf("%q: write a method such as tools/call, a family such as sampling/*, or one of them after to_server: or to_client:", s)
	}
	if !known(method, directions) {
		return fmt.Errorf("%q: the protocol has no such method in this direction, and methods of extensions have a name/ of their own", s)
	}
	for _, d := range directions {
		add(&g.methods[d], guard.Want{Method: method, Direction: d})
	}
	return nil
}

// known finds misspelt patterns, which would silently allow or deny nothing.
// What no family of the protocol begins like belongs to an extension.
func known(pattern string, directions []mcp.Direction) bool {
	family, _, ok := strings.Cut(pattern, "/")
	if !ok {
		family = pattern
	}
	extension := ok
	for _, m := range append(mcp.Methods(), transport(mcp.MethodListen), transport(mcp.MethodClose)) {
		for _, d := range directions {
			sent := d == mcp.ToServer && m.ToServer != 0 || d == mcp.ToClient && m.ToClient != 0
			if sent && (guard.Want{Method: pattern, Direction: d}).Matches(m.Name, d) {
				return true
			}
		}
		if first, _, _ := strings.Cut(m.Name, "/"); strings.EqualFold(first, family) {
			extension = false
		}
	}
	return extension
}

func transport(name string) mcp.Method {
	const every = ^mcp.RevisionSet(0)
	return mcp.Method{Name: name, ToServer: every}
}

// against says which rule speaks against method, or returns "".
func (r *rules) against(method string, d mcp.Direction) string {
	if w := match(r.denied, method, d); w != "" {
		return "denied_methods lists " + w
	}
	if len(r.allowed) > 0 && match(r.allowed, method, d) == "" {
		return "allowed_methods does not list the method"
	}
	return ""
}

func match(list []guard.Want, method string, d mcp.Direction) string {
	for i := range list {
		if list[i].Matches(method, d) {
			return list[i].Method
		}
	}
	return ""
}

// againstNested looks at the requests that a result, or the state of a task,
// asks the client to answer (MCP 2026-07-28, input_required).
func (r *rules) againstNested(m *mcp.Message) (detail string) {
	for _, part := range [...]json.RawMessage{m.Result, m.Params} {
		requests, ok := mcp.Member(part, "inputRequests")
		if !ok {
			continue
		}
		err := mcp.Walk(requests, func(l mcp.Leaf) error {
			if l.Kind != mcp.LeafString || !isRequestMethod(l.Pointer()) {
				return nil
			}
			if detail = r.against(string(l.Value()), mcp.ToClient); detail != "" {
				return errFound
			}
			return nil
		})
		if err != nil {
			break
		}
	}
	return detail
}

var errFound = errors.New("found")

// isRequestMethod reports whether a pointer into inputRequests has the form
// /<key>/method.
func isRequestMethod(pointer string) bool {
	key, ok := strings.CutSuffix(pointer, "/method")
	return ok && strings.Count(key, "/") == 1
}

// RequestsOnly tells a host without responses whether any rule is about them.
func (g *envelope) RequestsOnly() error {
	r := &g.methods[mcp.ToClient]
	switch {
	case len(r.allowed) > 0:
		return errors.New("allowed_methods has rules for messages to the client; write them after to_server:")
	case len(r.denied) > 0:
		return errors.New("denied_methods has rules for messages to the client; write them after to_server:")
	}
	return nil
}
