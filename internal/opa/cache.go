package opa

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"sync/atomic"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

type (
	guardPrincipal = guard.Principal
	guardServer    = guard.Server
)

var errNotFound = errors.New("opa: input: no such member")

// table is a bounded map without locks: each key has a few places, and a newer
// entry takes the one of whichever ends first. Keys are compared whole, so a
// collision costs a miss and never a wrong answer.
type table[V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[slot[V]]
}

type slot[V any] struct {
	key   string
	until int64 // 0: for ever
	value *V
}

const ways = 4

// newTable returns a table of n places, rounded up to a power of two.
func newTable[V any](n int) *table[V] {
	size := ways
	for size < n {
		size *= 2
	}
	return &table[V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[slot[V]], size)}
}

func (t *table[V]) at(key []byte) []atomic.Pointer[slot[V]] {
	i := maphash.Bytes(t.seed, key) & uint64(len(t.slots)-1) &^ (ways - 1)
	return t.slots[i : i+ways]
}

// get returns the value of key that still holds at now, or nil.
func (t *table[V]) get(key []byte, now int64) *V {
	places := t.at(key)
	for i := range places {
		if s := places[i].Load(); s != nil && s.key == string(key) && (s.until == 0 || now < s.until) {
			return s.value
		}
	}
	return nil
}

// put stores a value for key. Of two that race, either may stay.
func (t *table[V]) put(key []byte, until int64, v *V) {
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

// appendKey appends everything that a decision may depend on without reading
// a volatile member: each text after its length, so that no two inputs have
// one key.
func appendKey(b []byte, s policy.Step, in *policy.Input) []byte {
	b = append(b, byte(s), byte(in.Direction), byte(in.Kind), byte(in.Revision))
	b = text(b, in.Method)
	b = text(b, string(in.Target.Kind))
	b = text(b, in.Target.Name)
	b = appendServer(b, in.Server)
	t, known := in.Tool()
	b = appendTool(b, t, known)
	return appendPrincipal(b, in.Principal)
}

func appendServer(b []byte, s *guardServer) []byte {
	b = text(b, s.Name)
	b = text(b, s.Owner)
	b = text(b, s.Domain)
	return text(b, s.Classification)
}

func appendTool(b []byte, t guard.Tool, known bool) []byte {
	facts := byte(0)
	for i, fact := range [...]bool{known, t.Sensitive, t.ReadOnly, t.Destructive, t.Idempotent, t.External, t.Financial} {
		if fact {
			facts |= 1 << i
		}
	}
	b = append(b, facts)
	b = text(b, t.Classification)
	return text(b, t.Risk)
}

func appendPrincipal(b []byte, p *guardPrincipal) []byte {
	b = text(b, p.Subject)
	b = text(b, p.Issuer)
	b = text(b, p.Agent)
	b = text(b, p.Client)
	b = text(b, p.Tenant)
	b = text(b, p.Task)
	b = text(b, p.TaskType)
	b = text(b, p.Peer)
	b = texts(b, p.Actors)
	b = texts(b, p.Roles)
	return texts(b, p.Scopes)
}

func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func texts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = text(b, s)
	}
	return b
}
