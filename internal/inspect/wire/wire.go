// Package wire takes the texts to inspect out of what travels: JSON texts, the
// events of a stream, or plain text, each with its place in the original bytes.
package wire

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mcp"
)

// Text is one decoded string of a JSON text, or a number as it is written.
type Text struct {
	Kind   mcp.LeafKind
	Value  []byte
	Key    []byte // of the member whose value it is, or nil
	Parent []byte // of the member around that
	Beside []byte // the short string before it in the same object

	root   string  // pointer of what is walked
	lexeme int     // where the inside of the lexeme begins
	at     []int32 // offsets in the lexeme for each byte of Value, and its end; nil when they are the same
	leaf   mcp.Leaf
}

// Span returns the original bytes that the bytes i to j of Value stand for.
func (t *Text) Span(i, j int) (start, end int) {
	if t.at == nil {
		return t.lexeme + i, t.lexeme + j
	}
	return t.lexeme + int(t.at[i]), t.lexeme + int(t.at[j])
}

// Pointer returns the JSON pointer of the text.
func (t *Text) Pointer() string {
	return string(t.leaf.AppendPointer(append(make([]byte, 0, 64), t.root...)))
}

// Depth is how many objects and arrays the text stands in.
func (t *Text) Depth() int { return t.leaf.Depth() }

// Reader walks JSON texts with the memory of earlier walks. It is for one
// goroutine.
type Reader struct {
	value []byte
	at    []int32
	keys  [3][]byte // the last key, and the one of the object around it
	text  Text
}

// besideLimit is how long a text can be that names its neighbour.
const besideLimit = 40

// EachOf calls visit for every key, string and number of what a message says: its
// params, its result and its error. Each has its place in Raw, and its pointer from
// the top of the message. The text is valid during the visit.
func (r *Reader) EachOf(m *mcp.Message, visit func(*Text)) error {
	for _, part := range [...]struct {
		pointer string
		raw     []byte
	}{{"/params", m.Params}, {"/result", m.Result}, {"/error", m.Error}} {
		if part.raw == nil {
			continue
		}
		at, _, ok := mcp.Locate(m.Raw, part.pointer)
		if !ok {
			return fmt.Errorf("no %s in the message", part.pointer)
		}
		if err := r.each(part.raw, part.pointer, at, visit); err != nil {
			return err
		}
	}
	return nil
}

// EachText calls visit for every key, string and number of the JSON text raw.
// The text is valid during the visit.
func (r *Reader) EachText(raw []byte, visit func(*Text)) error { return r.each(raw, "", 0, visit) }

// each walks raw, which stands at a pointer and an offset of something larger.
func (r *Reader) each(raw []byte, pointer string, offset int, visit func(*Text)) error {
	t := &r.text
	*t = Text{root: pointer}
	var key, parent, beside []byte
	besideEnd := 0
	return mcp.Walk(raw, func(l mcp.Leaf) error {
		if l.Kind == mcp.LeafBool || l.Kind == mcp.LeafNull {
			return nil
		}
		// A scalar of an array has the key of the array.
		parent, key = l.AppendKey(r.keys[0][:0], 1), l.AppendKey(r.keys[1][:0], 0)
		r.keys[0], r.keys[1] = parent, key
		t.Kind, t.leaf, t.at = l.Kind, l, nil
		t.Key, t.Parent, t.Beside = key, parent, nil
		t.lexeme = offset + l.Start
		if l.Kind == mcp.LeafKey {
			t.Key = nil
		}
		if l.Kind == mcp.LeafNumber {
			t.Value = l.Lexeme()
		} else {
			t.lexeme++
			t.Value = raw[l.Start+1 : l.End-1]
			if l.Escaped {
				r.value, r.at = unescape(r.value[:0], r.at[:0], t.Value)
				t.Value, t.at = r.value, r.at
			}
		}
		if beside != nil && l.Kind != mcp.LeafKey && !bytes.ContainsAny(raw[besideEnd:l.Start], "{}[]") {
			t.Beside = beside
		}
		visit(t)
		if l.Kind == mcp.LeafString {
			if beside = nil; len(t.Value) <= besideLimit {
				beside, besideEnd = append(r.keys[2][:0], t.Value...), l.End
				r.keys[2] = beside
			}
		}
		return nil
	})
}

// unescape appends the value of a JSON string's inside to dst, and to at the
// offset in s of every byte and of the end.
func unescape(dst []byte, at []int32, s []byte) ([]byte, []int32) {
	for i := 0; i < len(s); {
		from := int32(i)
		if s[i] != '\\' || i+1 >= len(s) {
			dst, at = append(dst, s[i]), append(at, from)
			i++
			continue
		}
		c := s[i+1]
		i += 2
		if short := bytes.IndexByte([]byte("bfnrt"), c); short >= 0 {
			c = "\b\f\n\r\t"[short]
		}
		if c != 'u' {
			dst, at = append(dst, c), append(at, from)
			continue
		}
		r := hex4(s, i)
		i = min(i+4, len(s))
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if i+1 < len(s) && s[i] == '\\' && s[i+1] == 'u' {
				low = hex4(s, i+2)
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				i += 6
			}
		}
		n := len(dst)
		dst = utf8.AppendRune(dst, r)
		for range dst[n:] {
			at = append(at, from)
		}
	}
	return dst, append(at, int32(len(s)))
}

// hex4 reads four hexadecimal digits; what is none counts as U+FFFD.
func hex4(s []byte, i int) rune {
	r := rune(0)
	for k := i; k < i+4; k++ {
		if k >= len(s) {
			return utf8.RuneError
		}
		switch c := s[k]; {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return utf8.RuneError
		}
	}
	return r
}
