package schema

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// kinds is a set of JSON types.
type kinds uint8

const (
	null kinds = 1 << iota
	boolean
	number
	integer
	text
	array
	object
)

func kindsOf(names []string) (k kinds) {
	for _, n := range names {
		switch n {
		case "null":
			k |= null
		case "boolean":
			k |= boolean
		case "number":
			k |= number
		case "integer":
			k |= integer
		case "string":
			k |= text
		case "array":
			k |= array
		case "object":
			k |= object
		}
	}
	return k
}

// fits reports whether v is of one of the types.
func (k kinds) fits(v any) bool {
	switch v := v.(type) {
	case nil:
		return k&null != 0
	case bool:
		return k&boolean != 0
	case json.Number:
		return k&number != 0 || k&integer != 0 && isInteger(v)
	case string:
		return k&text != 0
	case []any:
		return k&array != 0
	case map[string]any:
		return k&object != 0
	}
	return false
}

func isInteger(n json.Number) bool {
	if !strings.ContainsAny(string(n), ".eE") {
		return true
	}
	r, ok := rational(n)
	return ok && r.IsInt()
}

// rational returns the exact value of a number. It does not compute with numbers
// of a few characters and a billion digits.
func rational(n json.Number) (*big.Rat, bool) {
	if len(n) > 400 {
		return nil, false
	}
	if i := strings.IndexAny(string(n), "eE"); i >= 0 {
		if e, err := strconv.Atoi(string(n[i+1:])); err != nil || e > 400 || e < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(string(n))
}

// equal compares as JSON Schema does: 1 is 1.0, and the order of members does not
// matter.
func (r *run) equal(a, b any) bool {
	if r.spend(1) {
		return false
	}
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		if a == b {
			return true
		}
		x, ok1 := rational(a)
		y, ok2 := rational(b)
		return ok1 && ok2 && x.Cmp(y) == 0
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !r.equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, ok := b[k]
			if !ok || !r.equal(v, w) {
				return false
			}
		}
		return true
	case string:
		b, ok := b.(string)
		return ok && a == b
	}
	return a == b // null and booleans
}

// canonical appends a form in which equal values are equal.
func (r *run) canonical(dst []byte, v any) []byte {
	if r.spend(1) {
		return dst
	}
	switch v := v.(type) {
	case nil:
		return append(dst, 'n')
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		if x, ok := rational(v); ok {
			return append(dst, x.RatString()...)
		}
		return append(dst, v...)
	case string:
		return strconv.AppendQuote(dst, v)
	case []any:
		dst = append(dst, '[')
		for _, e := range v {
			dst = append(r.canonical(dst, e), ',')
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for _, k := range keys(v) {
			dst = append(strconv.AppendQuote(dst, k), ':')
			dst = append(r.canonical(dst, v[k]), ',')
		}
		return append(dst, '}')
	}
	return dst
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
