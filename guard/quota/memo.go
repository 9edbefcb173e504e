package quota

import (
	"encoding/binary"

	"github.com/sallyport/sallyport/internal/recent"
)

// memo remembers the keys of callers that come again, since a digest takes longer
// than all else that is decided.
type memo = recent.Places[known]

// known is a key, and what it is counted with.
type known struct {
	key   Key
	group uint64
}

// keyed returns the key of text, of which the first of bytes, if any, are a
// caller's and decide about the group. Nothing of text is kept by who asks.
func keyed(m *memo, text []byte, of int) *known {
	if k := m.Get(text); k != nil {
		return k
	}
	k := known{key: digest(text)}
	k.group = binary.BigEndian.Uint64(k.key[:])
	if of > 0 {
		who := digest(text[len(Key{}) : len(Key{})+of])
		k.group = binary.BigEndian.Uint64(who[:])
	}
	return m.Put(text, k)
}
