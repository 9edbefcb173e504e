package mcp

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Member returns the value of the member called key of a JSON object, where
// names are compared exactly, after unescaping. The text must come from a
// decoded message, or ok may be true for text that is not JSON.
func Member(object json.RawMessage, key string) (value json.RawMessage, ok bool) {
	start, end, ok := member(object, 0, key)
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
	start = skipSpace(raw, 0)
	if pointer == "" {
		end, ok = skipValue(raw, start)
		return start, end, ok
	}
	if pointer[0] != '/' {
		return 0, 0, false
	}
	for rest, more := pointer[1:], true; more; {
		var token string
		token, rest, more = strings.Cut(rest, "/")
		if start, end, ok = child(raw, start, token); !ok {
			return 0, 0, false
		}
	}
	return start, end, true
}

// child returns the offsets of what a reference token names in the container
// at i.
func child(raw []byte, i int, token string) (start, end int, ok bool) {
	if i >= len(raw) {
		return 0, 0, false
	}
	if raw[i] == '[' {
		return element(raw, i, token)
	}
	key, ok := unescapeToken(token)
	if !ok {
		return 0, 0, false
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

// element returns the offsets of an array's element.
func element(raw []byte, i int, token string) (start, end int, ok bool) {
	want, err := strconv.Atoi(token)
	if err != nil || want < 0 || strconv.Itoa(want) != token {
		return 0, 0, false
	}
	i = skipSpace(raw, i+1)
	for n := 0; i < len(raw) && raw[i] != ']'; n++ {
		end, ok := skipValue(raw, i)
		if !ok {
			return 0, 0, false
		}
		if n == want {
			return i, end, true
		}
		if i = skipSpace(raw, end); i < len(raw) && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return 0, 0, false
}

// member returns the offsets of a member's value in the object at or after i.
func member(raw []byte, i int, key string) (start, end int, ok bool) {
	found := false
	eachMember(raw, i, func(m memberSpan) bool {
		if !m.named(raw, key) {
			return true
		}
		start, end, found = m.value, m.end, true
		return false
	})
	return start, end, found
}

// memberSpan is where a member stands: its key with quotes, and its value.
type memberSpan struct {
	key, keyEnd int
	value, end  int
	escaped     bool
}

func (m memberSpan) named(raw []byte, key string) bool {
	lexeme := raw[m.key:m.keyEnd]
	if !m.escaped {
		return string(lexeme[1:len(lexeme)-1]) == key
	}
	return string(AppendUnquote(nil, lexeme)) == key
}

// eachMember calls visit for the members of the object at or after i, until it
// returns false. It returns the offset of the closing brace, and whether it
// came there.
func eachMember(raw []byte, i int, visit func(memberSpan) bool) (int, bool) {
	i = skipSpace(raw, i)
	if i >= len(raw) || raw[i] != '{' {
		return 0, false
	}
	i = skipSpace(raw, i+1)
	for i < len(raw) && raw[i] == '"' {
		m := memberSpan{key: i}
		var f flaw
		if m.keyEnd, m.escaped, f = lexString(raw, i+1, true); f != flawNone {
			return 0, false
		}
		if i = skipSpace(raw, m.keyEnd); i >= len(raw) || raw[i] != ':' {
			return 0, false
		}
		m.value = skipSpace(raw, i+1)
		var ok bool
		if m.end, ok = skipValue(raw, m.value); !ok {
			return 0, false
		}
		if !visit(m) {
			return 0, false
		}
		if i = skipSpace(raw, m.end); i < len(raw) && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return i, i < len(raw) && raw[i] == '}'
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
