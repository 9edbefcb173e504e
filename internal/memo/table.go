// Package memo keeps what was decided: a bounded table without locks, the key
// of a decision, and decisions that are used again until they are too old.
package memo

import (
	"hash/maphash"
	"sync/atomic"
)

// Table is a bounded map without locks: each key has a few places, and a newer
// entry takes the one of whichever ends first. Keys are compared whole, so a
// collision costs a miss and never a wrong answer.
type Table[V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[slot[V]]
}

type slot[V any] struct {
	key   string
	until int64 // 0: for ever
	value *V
}

const ways = 4

// NewTable returns a Table of n places, rounded up to a power of two.
func NewTable[V any](n int) *Table[V] {
	size := ways
	for size < n {
		size *= 2
	}
	return &Table[V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[slot[V]], size)}
}

func (t *Table[V]) at(key []byte) []atomic.Pointer[slot[V]] {
	i := maphash.Bytes(t.seed, key) & uint64(len(t.slots)-1) &^ (ways - 1)
	return t.slots[i : i+ways]
}

// Get returns the value of key that still holds at now, and until when, or nil.
func (t *Table[V]) Get(key []byte, now int64) (v *V, until int64) {
	places := t.at(key)
	for i := range places {
		if s := places[i].Load(); s != nil && s.key == string(key) && (s.until == 0 || now < s.until) {
			return s.value, s.until
		}
	}
	return nil, 0
}

// maxKey bounds what one place holds, in bytes: servers choose the names in their
// lists, and a table full of long ones would be the process' end.
const maxKey = 4 << 10

// Put stores a value for key, unless that is too long to be kept. Of two that
// race, either may stay.
func (t *Table[V]) Put(key []byte, until int64, v *V) {
	if len(key) > maxKey {
		return
	}
	places := t.at(key)
	victim := 0
	var first int64
	for i := range places {
		s := places[i].Load()
		if s == nil || s.key == string(key) {
			victim = i
			break
		}
		if i == 0 || s.until < first {
			victim, first = i, s.until
		}
	}
	places[victim].Store(&slot[V]{string(key), until, v})
}
