package mcp

import "encoding/json"

// Decode reads exactly one JSON-RPC message, strictly: what two JSON parsers
// could understand differently is refused rather than interpreted. The
// message's slices alias raw and are valid as long as it is.
//
// It checks form only: the text is one JSON object in UTF-8 without duplicate
// keys or keys that pass for another after case folding, within the limits; it
// is one request, notification or response with a legal id; and params name
// the target that the method needs. Whether the method exists in a revision is
// for [Decoder.CheckMethod], and what the HTTP headers say for [Classify].
// Members of the envelope that JSON-RPC does not define pass; they stay in Raw,
// where [Walk] sees them.
func (d *Decoder) Decode(dir Direction, raw []byte) (Message, *Fault) {
	if len(raw) > d.limits.Bytes {
		return Message{}, &Fault{Reason: ReasonTooLarge, Status: 413, Code: CodeInvalidRequest,
			Detail: "message longer than the limit", Offset: d.limits.Bytes}
	}
	s := d.scratch.Get().(*scan)
	m := Message{Direction: dir, Raw: raw}
	f := d.decode(s, &m)
	if f != nil {
		if f.Code != CodeParse && f.ID == nil {
			f.ID = d.salvageID(s, dir, raw)
		}
		m = Message{}
	}
	s.release()
	d.scratch.Put(s)
	return m, f
}

func (d *Decoder) decode(s *scan, m *Message) *Fault {
	i := skipSpace(m.Raw, 0)
	switch {
	case i == len(m.Raw):
		return parseFault("message is empty", i)
	case m.Raw[i] == '[':
		return invalid("a batch; every message must be sent by itself", i)
	case m.Raw[0] == 0xef:
		return parseFault("byte order mark", 0)
	}
	s.reset(m.Raw, &d.limits, d.seed, false)
	if !s.text() {
		return flawFault(s.flaw, s.at)
	}
	if m.Raw[i] != '{' {
		return invalid("not an object", i)
	}
	if s.spans[slotVersion].end == 0 || string(s.part(slotVersion)) != `"2.0"` {
		return invalid(`jsonrpc is not "2.0"`, s.offset(slotVersion))
	}
	m.Params, m.Result, m.Error = s.part(slotParams), s.part(slotResult), s.part(slotError)
	m.meta = s.spans[slotMeta]
	m.version = s.spans[slotMetaVersion]
	m.capabilities = s.spans[slotMetaCapabilities]
	m.decoded = true
	if s.spans[slotMethod].end != 0 {
		return d.call(s, m)
	}
	return d.reply(s, m)
}

// call checks a request or notification (JSON-RPC 2.0, sections 4 and 4.1).
func (d *Decoder) call(s *scan, m *Message) *Fault {
	id := s.part(slotID)
	switch {
	case m.Result != nil || m.Error != nil:
		return invalid("both a method and a result or error", s.offset(slotMethod))
	case id != nil && !d.legalID(id):
		return invalid("illegal id", s.offset(slotID))
	case m.Params != nil && m.Params[0] != '{':
		return invalid("params is not an object", s.offset(slotParams))
	}
	lexeme := s.part(slotMethod)
	if lexeme[0] != '"' || len(lexeme) == 2 || len(lexeme) > maxMethod {
		return invalid("method is not a string of a sensible length", s.offset(slotMethod))
	}
	m.ID = id
	method := methodTable[string(lexeme[1:len(lexeme)-1])]
	if method == nil { // escaped, or not of the protocol
		s.buf = AppendUnquote(s.buf[:0], lexeme)
		if method = methodTable[string(s.buf)]; method == nil {
			m.Method = string(s.buf)
		}
	}
	if method != nil {
		m.Method = method.Name
	}
	m.Kind = Request
	if isNotification(m.Method) {
		m.Kind = Notification
	}
	switch {
	case m.Kind == Request && id == nil:
		return invalid("a request without id", s.offset(slotMethod))
	case m.Kind == Notification && id != nil:
		return invalid("a notification with an id", s.offset(slotID))
	case hasControl(m.Method):
		return invalid("control character in the method", s.offset(slotMethod))
	case isReserved(m.Method):
		f := unknownMethod(m, RevisionUnknown, "a method that is reserved for the gateway")
		f.Status, f.Offset = invalidParamsStatus(m), s.offset(slotMethod)
		return f
	case method != nil:
		f := d.target(s, m, method.Target)
		if r := m.claims(); f != nil && r != RevisionUnknown && !method.Allows(m.Direction, r) {
			// Params of a method that does not exist cannot be wrong
			// (MCP 2026-07-28, transports, 404 for unknown methods).
			f = unknownMethod(m, r, "the method does not exist in this revision and direction")
			f.Offset = s.offset(slotMethod)
		}
		return f
	}
	return nil
}

// claims is the revision that the body says it is of.
func (m *Message) claims() Revision {
	if v := m.cut(m.version); len(v) > 2 && v[0] == '"' {
		return ParseRevision(string(v[1 : len(v)-1]))
	}
	return RevisionUnknown
}

// maxMethod bounds a method as written, in bytes with the quotes.
const maxMethod = 258

// reply checks a response (JSON-RPC 2.0, section 5).
func (d *Decoder) reply(s *scan, m *Message) *Fault {
	id := s.part(slotID)
	switch {
	case m.Params != nil:
		return invalid("params without a method", s.offset(slotParams))
	case m.Result != nil && m.Error != nil:
		return invalid("both a result and an error", s.offset(slotError))
	case m.Result == nil && m.Error == nil:
		return invalid("neither a method nor a result nor an error", -1)
	case m.Error != nil && m.Direction == ToClient && (id == nil || string(id) == "null"):
		id = nil // a server that could not read the request's id says so like this
	case !d.legalID(id):
		return invalid("illegal id, or none", s.offset(slotID))
	}
	m.ID = id
	if m.Result != nil {
		m.Kind = Response
		if m.Result[0] != '{' {
			return invalid("result is not an object", s.offset(slotResult))
		}
		return nil
	}
	m.Kind = Failure
	code, text := s.part(slotCode), s.part(slotMessage)
	if m.Error[0] != '{' || !isInteger(code) || len(text) == 0 || text[0] != '"' {
		return invalid("error lacks an integer code or a message", s.offset(slotError))
	}
	return nil
}

// isInteger reports whether n is an integer that fits every JSON-RPC library.
func isInteger(n []byte) bool {
	if len(n) > 1 && n[0] == '-' {
		n = n[1:]
	}
	return len(n) > 0 && len(n) <= 10 && digits(n, 0) == len(n)
}

// part returns the value of a slot, or nil when the message lacks it.
func (s *scan) part(n slot) json.RawMessage {
	sp := s.spans[n]
	if sp.end == 0 {
		return nil
	}
	return s.b[sp.start:sp.end:sp.end]
}

// offset returns where the value of a slot begins, or -1.
func (s *scan) offset(n slot) int {
	if s.spans[n].end == 0 {
		return -1
	}
	return int(s.spans[n].start)
}
