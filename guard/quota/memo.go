package quota

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
)

// memo remembers the keys of callers that come again, since a digest takes longer
// than all else that is decided. It is bounded: whoever shares a place with
// another takes it over.
type memo struct {
	seed   maphash.Seed // nobody outside can choose texts that share a place
	places [4096]atomic.Pointer[known]
}

// known is a key and what it was made of.
type known struct {
	text  []byte
	key   Key
	group uint64
}

// find returns the key of text, of which the first of bytes, if any, are a
// caller's and decide about the group. Nothing of text is kept.
func (m *memo) find(text []byte, of int) *known {
	place := &m.places[maphash.Bytes(m.seed, text)%uint64(len(m.places))]
	if k := place.Load(); k != nil && bytes.Equal(k.text, text) {
		return k
	}
	k := &known{text: bytes.Clone(text), key: digest(text)}
	k.group = binary.BigEndian.Uint64(k.key[:])
	if of > 0 {
		who := digest(text[len(Key{}) : len(Key{})+of])
		k.group = binary.BigEndian.Uint64(who[:])
	}
	place.Store(k)
	return k
}
