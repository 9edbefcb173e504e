package schema

import (
	"strconv"
	"strings"
)

// token is one step of a path.
type token struct {
	key    string
	index  int // of an item; -1 for a property
	public bool
}

// public is the path as anybody may read it.
func (r *run) public() string {
	var b strings.Builder
	for _, t := range r.path {
		b.WriteByte('/')
		switch {
		case t.index >= 0:
			b.WriteString(strconv.Itoa(t.index))
		case t.public:
			b.WriteString(escape(t.key))
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}

// pointer leads to a property of the value at hand.
func (r *run) pointer(name string) string {
	var b strings.Builder
	for _, t := range r.path {
		b.WriteByte('/')
		if t.index >= 0 {
			b.WriteString(strconv.Itoa(t.index))
		} else {
			b.WriteString(escape(t.key))
		}
	}
	b.WriteByte('/')
	b.WriteString(escape(name))
	return b.String()
}

func escape(s string) string {
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}
