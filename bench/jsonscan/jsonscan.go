// Package jsonscan finds members of JSON objects fast, for replies that are
// checked and requests that are echoed a hundred thousand times a second. It
// accepts more than JSON and is for the bench only.
package jsonscan

import "bytes"

// Members calls visit for each member of the object in text, with the name as
// written between its quotes and the value as written, until visit returns
// false. It reports whether text holds an object that is whole.
func Members(text []byte, visit func(name, value []byte) bool) bool {
	i := space(text, 0)
	if i >= len(text) || text[i] != '{' {
		return false
	}
	i = space(text, i+1)
	if i < len(text) && text[i] == '}' {
		return true
	}
	for {
		end := skipString(text, i)
		if end < 0 {
			return false
		}
		name := text[i+1 : end-1]
		i = space(text, end)
		if i >= len(text) || text[i] != ':' {
			return false
		}
		i = space(text, i+1)
		if end = skip(text, i); end < 0 {
			return false
		}
		if !visit(name, text[i:end]) {
			return true
		}
		if i = space(text, end); i >= len(text) {
			return false
		}
		switch text[i] {
		case '}':
			return true
		case ',':
			i = space(text, i+1)
		default:
			return false
		}
	}
}

// Get returns the first member called name, as written, or nil.
func Get(text []byte, name string) []byte {
	var found []byte
	Members(text, func(n, v []byte) bool {
		if string(n) == name {
			found = v
		}
		return found == nil
	})
	return found
}

// Text returns what lies between the quotes of a string, still escaped, or nil.
func Text(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	return value[1 : len(value)-1]
}

// skip returns where the value at i ends, or -1.
func skip(t []byte, i int) int {
	if i >= len(t) {
		return -1
	}
	switch t[i] {
	case '"':
		return skipString(t, i)
	case '{', '[':
		return skipNested(t, i)
	}
	start := i
	for i < len(t) && t[i] != ',' && t[i] != '}' && t[i] != ']' && t[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

func skipNested(t []byte, i int) int {
	depth := 0
	for i < len(t) {
		switch t[i] {
		case '"':
			if i = skipString(t, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// skipString leaps from quote to quote, which is why long texts cost little.
func skipString(t []byte, i int) int {
	if i >= len(t) || t[i] != '"' {
		return -1
	}
	for i++; ; i++ {
		n := bytes.IndexByte(t[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for t[i-1-escapes] == '\\' { // stops at the opening quote at the latest
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

func space(t []byte, i int) int {
	for i < len(t) && (t[i] == ' ' || t[i] == '\n' || t[i] == '\t' || t[i] == '\r') {
		i++
	}
	return i
}
