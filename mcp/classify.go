package mcp

import (
	"encoding/json"
	"strings"
)

// Classify finds the revision that a client's message is to be read in, from
// its body and its HTTP headers together, and refuses messages where the two
// disagree: servers and other intermediaries look at one or the other, and a
// message must not be two things.
//
// A request is modern when its _meta names a protocol version or its version
// header is 2026-07-28 or later, and must then have both, alike, with the other
// headers and _meta keys of that era. Any other message is of the revision that
// its header names; without a header, of negotiated, which is what its session
// agreed on; without that, of 2025-03-26. An initialize request is of the
// revision it asks for.
//
// Faults of modern messages have the codes of the modern era; those of legacy
// messages never do, because clients probe for the era of a server by them.
func Classify(h Headers, m *Message, negotiated Revision) (Revision, *Fault) {
	header, n := h.Get(HeaderVersion)
	header = trim(header)
	inBody := m.metaVersion()
	switch {
	case n > 1 && inBody != nil:
		return 0, mismatch(m, "several MCP-Protocol-Version headers")
	case n > 1:
		return 0, legacyMismatch(m, "several MCP-Protocol-Version headers")
	case inBody != nil || n == 1 && isModernDate(header):
		return classifyModern(h, m, header, inBody)
	}
	if m.Method == "initialize" {
		if n == 1 && ParseRevision(header) == RevisionUnknown {
			return 0, unsupportedLegacy(m)
		}
		return initializeRevision(m), nil
	}
	if negotiated.Modern() {
		negotiated = RevisionUnknown // sessions are legacy, so this is no agreement
	}
	switch r := ParseRevision(header); {
	case n == 1 && r == RevisionUnknown:
		return 0, unsupportedLegacy(m)
	case n == 1 && negotiated != RevisionUnknown && r != negotiated:
		return 0, legacyMismatch(m, "MCP-Protocol-Version differs from what the session agreed on")
	case n == 1:
		return r, nil
	case negotiated != RevisionUnknown:
		return negotiated, nil
	}
	return R20250326, nil
}

// classifyModern checks what section "Versions" and the header rules of MCP
// 2026-07-28 require. header is empty when there is none; inBody is the value
// of the _meta key, nil when there is none.
func classifyModern(h Headers, m *Message, header string, inBody json.RawMessage) (Revision, *Fault) {
	switch m.Kind {
	case Transport:
		return 0, transportFault(m, 405, "the modern era has neither GET nor DELETE")
	case Response, Failure:
		return 0, transportFault(m, 400, "a modern client answers servers inside requests, not by responses")
	case Request:
		if f := checkMeta(m, header, inBody); f != nil {
			return 0, f
		}
	default: // notifications need no _meta; go-sdk 1.8.0 sends them with headers only
		if inBody != nil && !sameText(inBody, header) {
			return 0, mismatch(m, "MCP-Protocol-Version and _meta disagree")
		}
	}
	r := ParseRevision(header)
	if !r.Modern() {
		return 0, unsupportedModern(m, header)
	}
	if f := checkMethodHeader(h, m); f != nil {
		return 0, f
	}
	if f := checkNameHeader(h, m); f != nil {
		return 0, f
	}
	return r, nil
}

// checkMeta checks that body and header of a modern request name one version,
// and that the body has what else its _meta must have.
func checkMeta(m *Message, header string, inBody json.RawMessage) *Fault {
	switch {
	case header == "":
		return mismatch(m, "MCP-Protocol-Version header missing")
	case len(inBody) == 0 || inBody[0] != '"':
		return modernParams(m, "_meta lacks the protocol version")
	case !sameText(inBody, header):
		return mismatch(m, "MCP-Protocol-Version and _meta disagree")
	}
	if c := m.metaCapabilities(); len(c) == 0 || c[0] != '{' {
		return modernParams(m, "_meta lacks the client capabilities")
	}
	return nil
}

func checkMethodHeader(h Headers, m *Message) *Fault {
	switch value, n := h.Get(HeaderMethod); {
	case n == 0 && m.Kind == Notification:
		return nil
	case n == 0:
		return mismatch(m, "Mcp-Method header missing")
	case n > 1:
		return mismatch(m, "several Mcp-Method headers")
	case trim(value) != m.Method:
		return mismatch(m, "Mcp-Method names another method than the body")
	}
	return nil
}

func checkNameHeader(h Headers, m *Message) *Fault {
	value, n := h.Get(HeaderName)
	if n > 1 {
		return mismatch(m, "several Mcp-Name headers")
	}
	method, known := methodTable[m.Method]
	if !known || !method.NameHeader {
		return nil
	}
	if n == 0 {
		return mismatch(m, "Mcp-Name header missing")
	}
	switch name, err := HeaderParam(trim(value)); {
	case err != nil:
		return mismatch(m, "Mcp-Name is malformed")
	case name != m.Name:
		return mismatch(m, "Mcp-Name names another target than the body")
	}
	return nil
}

// initializeRevision is the revision that an initialize request asks for. The
// server may answer with another one, so a version that we do not know is no
// fault: it is read as the newest that has initialize.
func initializeRevision(m *Message) Revision {
	if lexeme, ok := Member(m.Params, "protocolVersion"); ok {
		if s, err := Unquote(lexeme); err == nil {
			if r := ParseRevision(s); r != RevisionUnknown && !r.Modern() {
				return r
			}
		}
	}
	return R20251125
}

// isModernDate reports whether s is a date of the modern era, be it one that
// we know or not.
func isModernDate(s string) bool {
	if len(s) != len("2006-01-02") || s < R20260728.String() {
		return false
	}
	for i := range len(s) {
		if dash := i == 4 || i == 7; dash != (s[i] == '-') || !dash && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func sameText(lexeme json.RawMessage, text string) bool {
	s, err := Unquote(lexeme)
	return err == nil && s == text
}

func (m *Message) metaVersion() json.RawMessage {
	if !m.decoded {
		v, _ := Member(m.Meta(), MetaProtocolVersion)
		return v
	}
	return m.cut(m.version)
}

func (m *Message) metaCapabilities() json.RawMessage {
	if !m.decoded {
		v, _ := Member(m.Meta(), MetaClientCapabilities)
		return v
	}
	return m.cut(m.capabilities)
}

func mismatch(m *Message, detail string) *Fault {
	return &Fault{Reason: ReasonHeaderMismatch, Status: 400, Code: CodeHeaderMismatch, ID: m.requestID(), Detail: detail, Offset: -1}
}

func legacyMismatch(m *Message, detail string) *Fault {
	return &Fault{Reason: ReasonHeaderMismatch, Status: 400, Code: CodeInvalidRequest, ID: m.requestID(), Detail: detail, Offset: -1}
}

func modernParams(m *Message, detail string) *Fault {
	return &Fault{Reason: ReasonInvalidParams, Status: 400, Code: CodeInvalidParams, ID: m.requestID(), Detail: detail, Offset: -1}
}

func unsupportedLegacy(m *Message) *Fault {
	return &Fault{Reason: ReasonUnsupportedVersion, Status: 400, Code: CodeInvalidRequest, ID: m.requestID(),
		Detail: "MCP-Protocol-Version is no revision that the gateway speaks", Offset: -1}
}

// unsupportedModern tells the client what it can ask for instead.
func unsupportedModern(m *Message, requested string) *Fault {
	var names []string
	for _, r := range Revisions() {
		names = append(names, `"`+r.String()+`"`)
	}
	data := append([]byte(`{"supported":[`), strings.Join(names, ",")...)
	data = append(data, `],"requested":`...)
	data = append(AppendQuote(data, requested), '}')
	return &Fault{Reason: ReasonUnsupportedVersion, Status: 400, Code: CodeUnsupportedVersion, ID: m.requestID(),
		Detail: "the protocol version is no modern revision that the gateway speaks", Offset: -1, Data: data}
}
