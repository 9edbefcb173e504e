package mcp

import (
	"encoding/json"
	"iter"
)

// Elements goes through the elements of a JSON array of a decoded message. Of
// anything else it yields nothing.
func Elements(array json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(array, 0)
		if i >= len(array) || array[i] != '[' {
			return
		}
		for i = skipSpace(array, i+1); i < len(array) && array[i] != ']'; {
			end, ok := skipValue(array, i)
			if !ok || !yield(array[i:end:end]) {
				return
			}
			if i = skipSpace(array, end); i < len(array) && array[i] == ',' {
				i = skipSpace(array, i+1)
			}
		}
	}
}

// Members goes through the members of a JSON object of a decoded message, with
// their names unescaped. Of anything else it yields nothing.
func Members(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for it := membersOf(object, 0); it.next(); {
			name := string(AppendUnquote(nil, object[it.key:it.keyEnd]))
			it.skip()
			if it.at < 0 || !yield(name, object[it.value:it.end:it.end]) {
				return
			}
		}
	}
}
