package mcp

import (
	"bytes"
	"encoding/json"
)

// maxSafeInteger is 2^53-1 in digits, the largest integer that every JSON
// implementation keeps (RFC 8259, section 6).
const maxSafeInteger = "9007199254740991"

// legalID reports whether an id may pass: a string, or an integer in its only
// spelling. Other ids (1.0, 1e0, true, null, {}) are read differently by
// different SDKs, and then the answer goes to the wrong call.
func (d *Decoder) legalID(id []byte) bool {
	if len(id) == 0 {
		return false
	}
	if id[0] == '"' {
		return len(id)-2 <= d.limits.StringIDLen
	}
	n := id
	if n[0] == '-' {
		n = n[1:]
	}
	switch {
	case len(n) == 0 || digits(n, 0) != len(n):
		return false
	case n[0] == '0':
		return len(id) == 1 // neither 01 nor -0
	case len(n) == len(maxSafeInteger):
		return string(n) <= maxSafeInteger
	}
	return len(n) < len(maxSafeInteger)
}

// SameID reports whether two legal ids are equal. Strings may be escaped
// differently by the two sides; a string never equals a number.
func SameID(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return len(a) > 0
	}
	if len(a) == 0 || len(b) == 0 || a[0] != '"' || b[0] != '"' {
		return false
	}
	s, err := Unquote(a)
	if err != nil {
		return false
	}
	t, err := Unquote(b)
	return err == nil && s == t
}

// salvageID finds the id of a message that was refused, so that its sender can
// match the answer. It wants grammatical JSON and a single key that any decoder
// takes for the id; where that fails it returns nil rather than guess. Only an
// id that the client gave counts: the two directions number by themselves, so
// the id of a client's response is that of some other request of its own.
func (d *Decoder) salvageID(s *scan, dir Direction, raw []byte) json.RawMessage {
	s.reset(raw, &d.limits, d.seed, true)
	if !s.text() || s.ids != 1 || (s.part(slotMethod) != nil) != (dir == ToServer) {
		return nil
	}
	if id := s.part(slotID); d.legalID(id) {
		return id
	}
	return nil
}
