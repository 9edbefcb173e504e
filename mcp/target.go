package mcp

import "strings"

// Bounds of targets, in bytes of the unescaped value.
const (
	maxToolName = 128  // MCP 2025-11-25, tools, tool names
	maxName     = 1024 // prompts, tasks, and tools where any name is allowed
	maxURI      = 8192
)

// target finds what a call works on and checks that it can serve as a key:
// policies, quotas and routes all go by it.
func (d *Decoder) target(s *scan, m *Message, t Target) *Fault {
	var value slot
	limit := maxName
	switch t {
	case TargetNone:
		return nil
	case TargetTool, TargetPrompt:
		value = slotName
	case TargetURI:
		value, limit = slotURI, maxURI
	case TargetTask:
		value = slotTask
	case TargetRef:
		switch string(s.part(slotRefType)) {
		case `"ref/prompt"`:
			value = slotRefName
		case `"ref/resource"`:
			value, limit = slotRefURI, maxURI
		default:
			return invalidParams(m, "ref has no known type", s.offset(slotRef))
		}
	}
	lexeme := s.part(value)
	if len(lexeme) <= 2 || lexeme[0] != '"' {
		return invalidParams(m, "params lack the name, uri, taskId or ref of the method, as a string", s.offset(value))
	}
	s.buf = AppendUnquote(s.buf[:0], lexeme)
	m.Name = string(s.buf)
	m.clear = m.Name
	if value == slotURI || value == slotRefURI {
		m.clear = d.uris.URI(m.Name)
	}
	switch {
	case t == TargetTool && !d.anyNames && !isToolName(m.Name):
		return invalidParams(m, "tool name outside [A-Za-z0-9_.-]{1,128}", s.offset(value))
	case len(m.Name) > limit:
		return invalidParams(m, "name or uri longer than the limit", s.offset(value))
	case hasControl(m.Name):
		return invalidParams(m, "control character in a name or uri", s.offset(value))
	}
	return nil
}

func isToolName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxToolName
}

// hasControl reports whether s has a control character (C0, DEL, C1) or a
// line or paragraph separator.
func hasControl(s string) bool {
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029 {
			return true
		}
	}
	return false
}

func isNotification(method string) bool { return strings.HasPrefix(method, "notifications/") }

func isReserved(method string) bool { return strings.HasPrefix(method, "transport/") }

func invalidParams(m *Message, detail string, at int) *Fault {
	return &Fault{Reason: ReasonInvalidParams, Status: invalidParamsStatus(m), Code: CodeInvalidParams,
		ID: m.requestID(), Detail: detail, Offset: at}
}

// invalidParamsStatus is 400 in the modern era. Legacy clients only understand
// an error that comes with 200. The body has to tell the era here, because the
// headers are not known yet.
func invalidParamsStatus(m *Message) int {
	if m.version.end != 0 {
		return 400
	}
	return 200
}
