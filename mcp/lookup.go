package mcp

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Member returns the value of the member called key of a JSON object, where
// names are compared exactly, after unescaping. The text must come from a
// decoded message; of text that is not JSON, ok may be true.
func Member(object json.RawMessage, key string) (value json.RawMessage, ok bool) {
	start, ok := member(object, 0, key)
	if !ok {
		return nil, false
	}
	end, ok := skipValue(object, start)
	if !ok {
		return nil, false
	}
	return object[start:end:end], true
}

// Lookup returns the value at a JSON pointer (RFC 6901) in a text like that of
// [Member].
func Lookup(raw []byte, pointer string) (value json.RawMessage, ok bool) {
	start, end, ok := Locate(raw, pointer)
	if !ok {
		return nil, false
	}
	return raw[start:end:end], true
}

// Locate returns the offsets of the value at a JSON pointer.
func Locate(raw []byte, pointer string) (start, end int, ok bool) {
	if start, ok = descend(raw, pointer); ok {
		end, ok = skipValue(raw, start)
	}
	if !ok {
		return 0, 0, false
	}
	return start, end, true
}

// descend returns where the value at a JSON pointer begins.
func descend(raw []byte, pointer string) (i int, ok bool) {
	i = skipSpace(raw, 0)
	if pointer == "" {
		return i, true
	}
	if pointer[0] != '/' {
		return 0, false
	}
	for rest, more := pointer[1:], true; more; {
		var token string
		token, rest, more = strings.Cut(rest, "/")
		if i, ok = child(raw, i, token); !ok {
			return 0, false
		}
	}
	return i, true
}

// child returns where what a reference token names in the container at i
// begins.
func child(raw []byte, i int, token string) (int, bool) {
	if i < len(raw) && raw[i] == '[' {
		return element(raw, i, token)
	}
	key, ok := unescapeToken(token)
	if !ok {
		return 0, false
	}
	return member(raw, i, key)
}

// unescapeToken undoes the escaping of a reference token.
func unescapeToken(token string) (string, bool) {
	if strings.IndexByte(token, '~') < 0 {
		return token, true
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '~' {
			i++
			switch {
			case i < len(token) && token[i] == '0':
			case i < len(token) && token[i] == '1':
				c = '/'
			default:
				return "", false
			}
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// element returns where an array's element begins.
func element(raw []byte, i int, token string) (int, bool) {
	want, err := strconv.Atoi(token)
	if err != nil || want < 0 || strconv.Itoa(want) != token {
		return 0, false
	}
	i = skipSpace(raw, i+1)
	for n := 0; i < len(raw) && raw[i] != ']'; n++ {
		if n == want {
			return i, true
		}
		end, ok := skipValue(raw, i)
		if !ok {
			return 0, false
		}
		if i = skipSpace(raw, end); i < len(raw) && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return 0, false
}

// member returns where the value of a member of the object at or after i
// begins.
func member(raw []byte, i int, key string) (int, bool) {
	for it := membersOf(raw, i); it.next(); it.skip() {
		if it.named(key) {
			return it.value, true
		}
	}
	return 0, false
}

// members goes through the members of an object. After next, key is where the
// member's name stands, with quotes, and value where its value begins; after
// skip, end is where its value ends.
type members struct {
	raw         []byte
	at          int // of the next key, or -1
	key, keyEnd int
	value, end  int
	escaped     bool
}

func membersOf(raw []byte, i int) members {
	if i = skipSpace(raw, i); i >= len(raw) || raw[i] != '{' {
		return members{at: -1}
	}
	return members{raw: raw, at: skipSpace(raw, i+1)}
}

// next reads a key. It returns false at the end of the object, and for text
// that is not JSON.
func (m *members) next() bool {
	if m.at < 0 || m.at >= len(m.raw) || m.raw[m.at] != '"' {
		return false
	}
	var f flaw
	m.key = m.at
	if m.keyEnd, m.escaped, f = lexString(m.raw, m.key+1, true); f != flawNone {
		return false
	}
	i := skipSpace(m.raw, m.keyEnd)
	if i >= len(m.raw) || m.raw[i] != ':' {
		return false
	}
	m.value = skipSpace(m.raw, i+1)
	return true
}

// skip goes over the member's value and the comma behind it.
func (m *members) skip() {
	var ok bool
	if m.end, ok = skipValue(m.raw, m.value); !ok {
		m.at = -1
		return
	}
	if m.at = skipSpace(m.raw, m.end); m.at < len(m.raw) && m.raw[m.at] == ',' {
		m.at = skipSpace(m.raw, m.at+1)
	}
}

func (m *members) named(key string) bool {
	lexeme := m.raw[m.key:m.keyEnd]
	if !m.escaped {
		return string(lexeme[1:len(lexeme)-1]) == key
	}
	return string(AppendUnquote(nil, lexeme)) == key
}

// skipValue returns the offset after the value at i. It trusts that brackets
// match, but never leaves raw.
func skipValue(raw []byte, i int) (end int, ok bool) {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			end, _, f := lexString(raw, i+1, true)
			if f != flawNone {
				return 0, false
			}
			i = end
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ' ', '\n', '\r', '\t', ',', ':':
			i++
			continue
		case 't', 'f', 'n':
			end, ok := lexLiteral(raw, i)
			if !ok {
				return 0, false
			}
			i = end
		default:
			end, ok := lexNumber(raw, i)
			if !ok {
				return 0, false
			}
			i = end
		}
		if depth <= 0 {
			return i, depth == 0
		}
	}
	return 0, false
}

// Text returns the string that a member of an object holds, or "".
func Text(object json.RawMessage, key string) string {
	v, ok := Member(object, key)
	if !ok {
		return ""
	}
	s, err := Unquote(v)
	if err != nil {
		return ""
	}
	return s
}
