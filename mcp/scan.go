package mcp

import "hash/maphash"

// scan reads one JSON text (RFC 8259) in a single pass: it checks every byte,
// finds the values of the slots, and builds nothing. It keeps its own stack,
// so depth costs no goroutine stack. A scan is reused for many messages.
type scan struct {
	b      []byte
	limits *Limits
	seed   maphash.Seed
	lax    bool // only find the id of a message that was already refused

	frames []frame
	keys   []key    // of all open objects, innermost last
	table  []uint32 // hash table for big objects
	buf    []byte   // unescaped key
	buf2   []byte

	spans [slotCount]span
	ids   int // keys that some decoder would take for the id (lax)

	flaw flaw
	at   int // offset of the flaw
}

type frame struct {
	keyBase uint32 // first of the object's keys
	array   bool
	level   level
	slot    slot // of the member whose value is being read
}

// span is a part of the message. A zero end means absent.
type span struct{ start, end uint32 }

// maxLaxDepth bounds the stack where the configured depth does not.
const maxLaxDepth = 4096

func (s *scan) reset(b []byte, l *Limits, seed maphash.Seed, lax bool) {
	s.b, s.limits, s.seed, s.lax = b, l, seed, lax
	s.frames, s.keys = s.frames[:0], s.keys[:0]
	s.spans = [slotCount]span{}
	s.flaw, s.at, s.ids = flawNone, 0, 0
}

// release drops what points into a message, and memory that only an unusual
// message needed.
func (s *scan) release() {
	s.b = nil
	if cap(s.keys) > 32768 {
		s.keys, s.table = nil, nil
	}
	if cap(s.buf) > 4096 || cap(s.buf2) > 4096 {
		s.buf, s.buf2 = nil, nil
	}
	if cap(s.frames) > 1024 {
		s.frames = nil
	}
}

func (s *scan) fail(f flaw, at int) bool {
	s.flaw, s.at = f, at
	return false
}

// failLex maps a flaw at the end of the text to flawEnd.
func (s *scan) failLex(at int) bool {
	if at >= len(s.b) {
		return s.fail(flawEnd, len(s.b))
	}
	return s.fail(flawSyntax, at)
}

// text reads the whole message, whose top is an object of the envelope level.
func (s *scan) text() bool {
	b := s.b
	i := skipSpace(b, 0)
	at := levelEnvelope // of the value to come
	for {
		// A value.
		opened := false
		if i >= len(b) {
			return s.fail(flawEnd, len(b))
		}
		switch c := b[i]; c {
		case '"':
			end, _, f := lexString(b, i+1, s.lax)
			if f != flawNone {
				return s.fail(f, end)
			}
			i = end
		case '{', '[':
			if !s.open(c == '[', at, i) {
				return false
			}
			opened = true
			i++
		case 't', 'f', 'n':
			end, ok := lexLiteral(b, i)
			if !ok {
				return s.failLex(end)
			}
			i = end
		default:
			end, ok := lexNumber(b, i)
			if !ok {
				return s.failLex(end)
			}
			if end-i > s.limits.NumberLen && !s.lax {
				return s.fail(flawNumber, i)
			}
			i = end
		}
		// What may follow: the ends of containers, then a comma, then
		// perhaps a key; after an opening bracket, the first of them.
		for {
			if len(s.frames) == 0 {
				if i = skipSpace(b, i); i < len(b) {
					return s.fail(flawTrailing, i)
				}
				return true
			}
			f := &s.frames[len(s.frames)-1]
			if f.slot != slotNone && !opened {
				s.spans[f.slot].end = uint32(i)
				f.slot = slotNone
			}
			if i = skipSpace(b, i); i >= len(b) {
				return s.fail(flawEnd, len(b))
			}
			c := b[i]
			if c == ']' && f.array || c == '}' && !f.array {
				if !s.close(f) {
					return false
				}
				opened = false
				i++
				continue
			}
			if !opened {
				if c != ',' {
					return s.fail(flawSyntax, i)
				}
				i = skipSpace(b, i+1)
			}
			at = f.level // of an item; other arrays have levelNone
			if !f.array {
				var ok bool
				if i, at, ok = s.member(f, i); !ok {
					return false
				}
			}
			break
		}
	}
}

// open pushes a container.
func (s *scan) open(array bool, at level, i int) bool {
	limit := s.limits.Depth
	if s.lax {
		limit = maxLaxDepth
	}
	if len(s.frames) >= limit {
		return s.fail(flawDepth, i)
	}
	switch {
	case array && (at == levelList || at == levelItem):
		at = levelItem
	case array || at == levelList:
		at = levelNone
	}
	s.frames = append(s.frames, frame{keyBase: uint32(len(s.keys)), array: array, level: at})
	return true
}

// close pops the innermost container.
func (s *scan) close(f *frame) bool {
	if !f.array {
		if keys := s.keys[f.keyBase:]; len(keys) > smallObject && !s.distinct(keys) {
			return false
		}
		s.keys = s.keys[:f.keyBase]
	}
	s.frames = s.frames[:len(s.frames)-1]
	return true
}

// prototypeKey is refused at every depth: both TypeScript SDKs drop it from
// the arguments of a call, where other SDKs hand it to the tool, and what a
// JavaScript program copies it into inherits from its value.
const prototypeKey = "__proto__"

// member reads a key and its colon at i. It returns the offset and the level
// of the member's value.
func (s *scan) member(f *frame, i int) (int, level, bool) {
	b := s.b
	if i >= len(b) || b[i] != '"' {
		return i, 0, s.failLex(i)
	}
	start := i + 1
	end, escaped, bad := lexString(b, start, s.lax)
	if bad != flawNone {
		return i, 0, s.fail(bad, end)
	}
	if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
		return i, 0, s.failLex(i)
	}
	i = skipSpace(b, i+1)
	k := key{start: uint32(start), end: uint32(end - 1), escaped: escaped}
	if !s.lax && !s.addKey(f, k) {
		return i, 0, false
	}
	if !s.lax && (escaped || end-1-start == len(prototypeKey)) && string(s.name(k, &s.buf)) == prototypeKey {
		return i, 0, s.fail(flawPrototype, start-1)
	}
	if f.level == levelNone {
		return i, levelNone, true
	}
	name := s.name(k, &s.buf)
	slot, at := place(f.level, name)
	if slot != slotNone {
		f.slot = slot
		s.spans[slot] = span{start: uint32(i)}
		if slot == slotID {
			s.ids++
		}
	} else if impostor(f.level, name) {
		if !s.lax {
			return i, 0, s.fail(flawFold, start-1)
		}
		if folded, _ := fold(nil, name); f.level == levelEnvelope && string(folded) == "id" {
			s.ids++
		}
	}
	return i, at, true
}
