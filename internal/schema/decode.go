package schema

import (
	"encoding/json"

	"github.com/sallyport/sallyport/mcp"
)

// decode returns the value of JSON that the gateway's decoder has let through, as
// encoding/json would with numbers as they are written, in one pass. It is
// false for what is no JSON, as far as it notices.
func decode(raw []byte) (any, bool) {
	d := decoder{b: raw}
	d.space()
	v, ok := d.value(0)
	d.space()
	return v, ok && d.i == len(raw)
}

type decoder struct {
	b []byte
	i int
}

// peek returns the byte at hand, 0 at the end.
func (d *decoder) peek() byte {
	if d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

func (d *decoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *decoder) value(depth int) (any, bool) {
	if depth > maxNested {
		return nil, false
	}
	switch d.peek() {
	case '{':
		return d.object(depth)
	case '[':
		return d.array(depth)
	case '"':
		return d.text()
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	}
	start := d.i
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			d.i++
			continue
		}
		break
	}
	return json.Number(d.b[start:d.i]), d.i > start
}

func (d *decoder) word(w string) bool {
	if len(d.b)-d.i < len(w) || string(d.b[d.i:d.i+len(w)]) != w {
		return false
	}
	d.i += len(w)
	return true
}

func (d *decoder) text() (string, bool) {
	start := d.i
	for d.i++; d.i < len(d.b); d.i++ {
		switch d.b[d.i] {
		case '\\':
			d.i++
		case '"':
			d.i++
			s, err := mcp.Unquote(d.b[start:d.i])
			return s, err == nil
		}
	}
	return "", false
}

func (d *decoder) object(depth int) (any, bool) {
	out := make(map[string]any)
	d.i++
	for d.space(); d.peek() != '}'; d.space() {
		if len(out) > 0 && !d.next(',') || d.peek() != '"' {
			return nil, false
		}
		k, ok := d.text()
		if d.space(); !ok || !d.next(':') {
			return nil, false
		}
		if out[k], ok = d.value(depth + 1); !ok {
			return nil, false
		}
	}
	d.i++
	return out, true
}

func (d *decoder) array(depth int) (any, bool) {
	out := []any{}
	d.i++
	for d.space(); d.peek() != ']'; d.space() {
		if len(out) > 0 && !d.next(',') {
			return nil, false
		}
		v, ok := d.value(depth + 1)
		if !ok {
			return nil, false
		}
		out = append(out, v)
	}
	d.i++
	return out, true
}

// next takes the byte c and the space behind it.
func (d *decoder) next(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.i++
	d.space()
	return true
}
