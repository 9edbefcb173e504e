// Package recent keeps something for each of many keys in bounded memory: who
// was used least recently is forgotten first. It imports the standard library
// only, so that guards may use it.
package recent

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Key names an entry. It is a digest, so that entries of any name are of one
// size and tell nobody's name.
type Key [16]byte

// shards is how many parts of a table can be used at once.
const shards = 64

// Table keeps a V for each of the keys used most recently. Its methods are for
// any number of goroutines.
type Table[V any] struct {
	seed   maphash.Seed // nobody outside can choose keys that push each other out
	most   atomic.Int64
	forgot atomic.Uint64
	parts  [shards]part[V]
}

type part[V any] struct {
	mu    sync.Mutex
	at    map[Key]int32
	nodes []node[V]
	first int32 // used most recently, or none
	last  int32
	_     [32]byte // two parts share no cache line
}

type node[V any] struct {
	key        Key
	prev, next int32
	value      V
}

const none = -1

// New returns a table for at most most keys, and at least one per part.
func New[V any](most int) *Table[V] {
	t := &Table[V]{seed: maphash.MakeSeed()}
	t.Bound(most)
	for i := range t.parts {
		p := &t.parts[i]
		p.at, p.first, p.last = make(map[Key]int32), none, none
	}
	return t
}

// Bound changes how many keys are kept. Those that are too many go as others
// come.
func (t *Table[V]) Bound(most int) { t.most.Store(int64(max(1, (most+shards-1)/shards))) }

// Len returns the number of keys.
func (t *Table[V]) Len() int {
	n := 0
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		n += len(p.at)
		p.mu.Unlock()
	}
	return n
}

// Forgotten returns how many keys made room for others.
func (t *Table[V]) Forgotten() uint64 { return t.forgot.Load() }

// Do calls use with what belongs to k, which is the zero V at first. Nobody else
// has it, or much of the table, meanwhile; so use is short and uses no table.
func (t *Table[V]) Do(k Key, use func(v *V)) {
	p := &t.parts[maphash.Comparable(t.seed, k)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	i, known := p.at[k]
	if known {
		p.unlink(i)
	} else {
		i = p.add(k, int(t.most.Load()), &t.forgot)
	}
	p.link(i)
	use(&p.nodes[i].value)
}

// Look calls use with what belongs to k, if there is something, and does not
// count as using it.
func (t *Table[V]) Look(k Key, use func(v *V)) {
	p := &t.parts[maphash.Comparable(t.seed, k)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, known := p.at[k]; known {
		use(&p.nodes[i].value)
	}
}

// add makes a place for k: a new one, or that of the key used least recently.
func (p *part[V]) add(k Key, most int, forgot *atomic.Uint64) int32 {
	var i int32
	if len(p.nodes) < most {
		i = int32(len(p.nodes))
		p.nodes = append(p.nodes, node[V]{key: k})
	} else {
		i = p.last
		p.unlink(i)
		delete(p.at, p.nodes[i].key)
		p.nodes[i] = node[V]{key: k}
		forgot.Add(1)
		for len(p.at) >= most && p.last != none { // after the bound became lower
			old := p.last
			p.unlink(old)
			delete(p.at, p.nodes[old].key)
			p.nodes[old] = node[V]{}
			forgot.Add(1)
		}
	}
	p.at[k] = i
	return i
}

func (p *part[V]) link(i int32) {
	n := &p.nodes[i]
	n.prev, n.next = none, p.first
	if p.first != none {
		p.nodes[p.first].prev = i
	} else {
		p.last = i
	}
	p.first = i
}

func (p *part[V]) unlink(i int32) {
	n := &p.nodes[i]
	if n.prev != none {
		p.nodes[n.prev].next = n.next
	} else {
		p.first = n.next
	}
	if n.next != none {
		p.nodes[n.next].prev = n.prev
	} else {
		p.last = n.prev
	}
}
