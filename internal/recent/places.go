package recent

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

// Places remembers what was made of texts that come again, without a lock. It is
// bounded: whoever shares a place with another takes it over.
type Places[V any] struct {
	seed   maphash.Seed // nobody outside can choose texts that share a place
	places [4096]atomic.Pointer[placed[V]]
}

type placed[V any] struct {
	text  []byte
	value V
}

// NewPlaces returns places that are all free.
func NewPlaces[V any]() *Places[V] { return &Places[V]{seed: maphash.MakeSeed()} }

// Get returns what was kept for text, or nil. It belongs to everybody.
func (p *Places[V]) Get(text []byte) *V {
	if k := p.at(text).Load(); k != nil && bytes.Equal(k.text, text) {
		return &k.value
	}
	return nil
}

// Put keeps v for text, of which it makes a copy, and returns what is kept.
func (p *Places[V]) Put(text []byte, v V) *V {
	k := &placed[V]{bytes.Clone(text), v}
	p.at(text).Store(k)
	return &k.value
}

func (p *Places[V]) at(text []byte) *atomic.Pointer[placed[V]] {
	return &p.places[maphash.Bytes(p.seed, text)%uint64(len(p.places))]
}
