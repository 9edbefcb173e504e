package mcp

import (
	"errors"
	"fmt"
	"strconv"
)

// LeafKind is the kind of a [Leaf].
type LeafKind uint8

// The kinds of leaves.
const (
	LeafKey LeafKind = iota // a member's name
	LeafString
	LeafNumber
	LeafBool
	LeafNull
)

// Leaf is a key or a scalar value of a JSON text.
type Leaf struct {
	Kind       LeafKind
	Start, End int // offsets of the lexeme, with its quotes, in the text
	Escaped    bool
	w          *walk
}

// Lexeme returns the leaf as it stands in the text.
func (l Leaf) Lexeme() []byte { return l.w.b[l.Start:l.End] }

// Value returns the value of a key or string, and the lexeme of other leaves.
// Without escapes it points into the text; otherwise into memory that the next
// call of Value reuses.
func (l Leaf) Value() []byte {
	lexeme := l.Lexeme()
	if l.Kind != LeafKey && l.Kind != LeafString {
		return lexeme
	}
	if !l.Escaped {
		return lexeme[1 : len(lexeme)-1]
	}
	l.w.buf = AppendUnquote(l.w.buf[:0], lexeme)
	return l.w.buf
}

// Depth is how many objects and arrays the leaf stands in.
func (l Leaf) Depth() int { return len(l.w.frames) }

// AppendPointer appends the leaf's JSON pointer (RFC 6901) from the top of the
// text. A key has the pointer of its value. It is valid during the visit only.
func (l Leaf) AppendPointer(dst []byte) []byte {
	for i := range l.w.frames {
		f := &l.w.frames[i]
		dst = append(dst, '/')
		if f.array {
			dst = strconv.AppendInt(dst, int64(f.index), 10)
			continue
		}
		key := l.w.b[f.keyStart:f.keyEnd]
		if f.escaped {
			key = AppendUnquote(nil, key)
		} else {
			key = key[1 : len(key)-1]
		}
		for _, c := range key {
			switch c {
			case '~':
				dst = append(dst, '~', '0')
			case '/':
				dst = append(dst, '~', '1')
			default:
				dst = append(dst, c)
			}
		}
	}
	return dst
}

// AppendKey appends the name of the member that the leaf is in: up 0 is the
// nearest, up 1 the one around that. Arrays have no names and do not count. It
// is valid during the visit only.
func (l Leaf) AppendKey(dst []byte, up int) []byte {
	for i := len(l.w.frames) - 1; i >= 0; i-- {
		f := &l.w.frames[i]
		if f.array || f.keyEnd == 0 {
			continue
		}
		if up > 0 {
			up--
			continue
		}
		key := l.w.b[f.keyStart:f.keyEnd]
		if f.escaped {
			return AppendUnquote(dst, key)
		}
		return append(dst, key[1:len(key)-1]...)
	}
	return dst
}

// Pointer returns what AppendPointer appends, as a string.
func (l Leaf) Pointer() string { return string(l.AppendPointer(nil)) }

// maxWalkDepth bounds the stack of a walk over text that was not decoded.
const maxWalkDepth = 10000

type walk struct {
	b      []byte
	frames []walkFrame
	buf    []byte
}

type walkFrame struct {
	array            bool
	escaped          bool
	index            int
	keyStart, keyEnd int // of the current member, with quotes
}

// Walk calls visit for every key and every scalar of one JSON text, in the
// order of the text, with offsets into raw. It stops at the first error, of
// visit or of the text, and returns it. Texts that [Decoder.Decode] did not
// check must be JSON too, but their duplicate keys are not noticed.
func Walk(raw []byte, visit func(Leaf) error) error {
	var first [16]walkFrame
	w := &walk{b: raw, frames: first[:0]}
	return w.run(visit)
}

func (w *walk) run(visit func(Leaf) error) error {
	b := w.b
	i := skipSpace(b, 0)
	for {
		if i >= len(b) {
			return notJSON(i)
		}
		opened := false
		leaf := Leaf{Start: i, w: w}
		switch c := b[i]; c {
		case '{', '[':
			if len(w.frames) == maxWalkDepth {
				return notJSON(i)
			}
			w.frames = append(w.frames, walkFrame{array: c == '['})
			opened = true
			i++
		case '"':
			end, escaped, f := lexString(b, i+1, false)
			if f != flawNone {
				return notJSON(end)
			}
			leaf.Kind, leaf.Escaped = LeafString, escaped
			i = end
		case 't', 'f', 'n':
			end, ok := lexLiteral(b, i)
			if !ok {
				return notJSON(i)
			}
			leaf.Kind = LeafBool
			if c == 'n' {
				leaf.Kind = LeafNull
			}
			i = end
		default:
			end, ok := lexNumber(b, i)
			if !ok {
				return notJSON(i)
			}
			leaf.Kind = LeafNumber
			i = end
		}
		if !opened {
			leaf.End = i
			if err := visit(leaf); err != nil {
				return err
			}
		}
		for {
			if i = skipSpace(b, i); len(w.frames) == 0 {
				if i != len(b) {
					return notJSON(i)
				}
				return nil
			}
			if i >= len(b) {
				return notJSON(i)
			}
			f := &w.frames[len(w.frames)-1]
			if c := b[i]; c == ']' && f.array || c == '}' && !f.array {
				w.frames = w.frames[:len(w.frames)-1]
				opened = false
				i++
				continue
			} else if !opened {
				if c != ',' {
					return notJSON(i)
				}
				i = skipSpace(b, i+1)
				f.index++
			}
			if f.array {
				break
			}
			next, err := w.key(f, i, visit)
			if err != nil {
				return err
			}
			i = next
			break
		}
	}
}

// key reads the key at i and returns the offset of its value.
func (w *walk) key(f *walkFrame, i int, visit func(Leaf) error) (int, error) {
	if i >= len(w.b) || w.b[i] != '"' {
		return 0, notJSON(i)
	}
	end, escaped, bad := lexString(w.b, i+1, false)
	if bad != flawNone {
		return 0, notJSON(end)
	}
	f.keyStart, f.keyEnd, f.escaped = i, end, escaped
	if err := visit(Leaf{Kind: LeafKey, Start: i, End: end, Escaped: escaped, w: w}); err != nil {
		return 0, err
	}
	if i = skipSpace(w.b, end); i >= len(w.b) || w.b[i] != ':' {
		return 0, notJSON(i)
	}
	return skipSpace(w.b, i+1), nil
}

// ErrNotJSON is wrapped by the errors of functions that take JSON text.
var ErrNotJSON = errors.New("not JSON")

func notJSON(at int) error { return fmt.Errorf("mcp: walk: byte %d: %w", at, ErrNotJSON) }
