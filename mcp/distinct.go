package mcp

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// key is a member's name. mark is equal for equal names; it is cheap for small
// objects and a keyed hash for big ones.
type key struct {
	start, end uint32 // without the quotes
	mark       uint64
	escaped    bool
}

// smallObject is how many members are compared with each other rather than
// hashed.
const smallObject = 16

// name returns the unescaped key, in buf when it had escapes.
func (s *scan) name(k key, buf *[]byte) []byte {
	raw := s.b[k.start:k.end]
	if !k.escaped {
		return raw
	}
	*buf = appendUnescaped((*buf)[:0], raw)
	return *buf
}

// addKey pushes a key and, while its object is small, compares it with the
// others.
func (s *scan) addKey(f *frame, k key) bool {
	n := len(s.keys) - int(f.keyBase)
	if n >= s.limits.Keys {
		return s.fail(flawKeys, int(k.start)-1)
	}
	if n < smallObject {
		if k.escaped {
			name := s.name(k, &s.buf)
			k.mark = mark(name, 0, len(name))
		} else {
			k.mark = mark(s.b, int(k.start), int(k.end))
		}
		for _, other := range s.keys[f.keyBase:] {
			if other.mark == k.mark && s.same(other, k) {
				return s.fail(flawDuplicate, int(k.start)-1)
			}
		}
	}
	s.keys = append(s.keys, k)
	return true
}

// mark condenses b[start:end]: its length and its first and last eight bytes.
// Bytes after end are read, but do not count.
func mark(b []byte, start, end int) uint64 {
	n := end - start
	switch {
	case n >= 8:
		head := binary.LittleEndian.Uint64(b[start:])
		tail := binary.LittleEndian.Uint64(b[end-8:])
		return head ^ bits.RotateLeft64(tail, 23) ^ uint64(n)<<56
	case start+8 <= len(b):
		return binary.LittleEndian.Uint64(b[start:])&(1<<(8*n)-1) | uint64(n)<<56
	}
	var m uint64
	for i, c := range b[start:end] {
		m |= uint64(c) << (8 * i)
	}
	return m | uint64(n)<<56
}

func (s *scan) same(a, b key) bool {
	return string(s.name(a, &s.buf)) == string(s.name(b, &s.buf2))
}

// distinct reports whether the keys of a big object differ, in linear time: a
// hash table with open addressing, under a seed that no sender knows.
func (s *scan) distinct(keys []key) bool {
	size := 1 << bits.Len(uint(2*len(keys)))
	if cap(s.table) < size {
		s.table = make([]uint32, size)
	}
	table := s.table[:size]
	clear(table)
	for n := range keys {
		k := &keys[n]
		k.mark = maphash.Bytes(s.seed, s.name(*k, &s.buf))
		i := int(k.mark) & (size - 1)
		for ; table[i] != 0; i = (i + 1) & (size - 1) {
			if other := &keys[table[i]-1]; other.mark == k.mark && s.same(*other, *k) {
				return s.fail(flawDuplicate, int(k.start)-1)
			}
		}
		table[i] = uint32(n + 1)
	}
	return true
}
