package recent

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// Texts keeps something about texts without keeping the texts: they are known by a
// hash under a key of this process, so that nobody can tell, or choose, which are
// taken for the same.
type Texts[V any] struct {
	*Table[V]
	secret [32]byte
}

// NewTexts returns room for what is known of most texts.
func NewTexts[V any](most int) (*Texts[V], error) {
	t := &Texts[V]{Table: New[V](most)}
	_, err := rand.Read(t.secret[:])
	return t, err
}

// Key names the parts together. scratch is memory to use; what is returned beside
// the key is the same, perhaps grown.
func (t *Texts[V]) Key(scratch []byte, parts ...[]byte) (Key, []byte) {
	b := append(scratch[:0], t.secret[:]...)
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	sum := sha256.Sum256(b)
	return Key(sum[:16]), b
}
