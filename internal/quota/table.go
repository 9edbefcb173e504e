// Package quota counts calls in this process: the whole of the counting on one
// machine, and what each replica keeps by itself beside a shared counter.
package quota

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/guard/quota"
)

// Table finds what belongs to a key. Finding takes no lock; so a key waits for
// no other. T guards itself.
type Table[T any] struct {
	seed    maphash.Seed // nobody outside can choose keys that share a chain
	buckets []atomic.Pointer[node[T]]
	locks   [256]sync.Mutex // of writers to the chains
	size    atomic.Int64
}

type node[T any] struct {
	key   quota.Key
	next  atomic.Pointer[node[T]]
	value T
}

// NewTable returns a table with 2^bits chains.
func NewTable[T any](bits int) *Table[T] {
	return &Table[T]{seed: maphash.MakeSeed(), buckets: make([]atomic.Pointer[node[T]], 1<<max(bits, 8))}
}

// Len returns the number of keys.
func (t *Table[T]) Len() int { return int(t.size.Load()) }

func (t *Table[T]) bucket(k quota.Key) uint64 {
	return maphash.Comparable(t.seed, k) & uint64(len(t.buckets)-1)
}

// Get returns what belongs to k, or nil.
func (t *Table[T]) Get(k quota.Key) *T { return t.find(t.bucket(k), k) }

func (t *Table[T]) find(b uint64, k quota.Key) *T {
	for n := t.buckets[b].Load(); n != nil; n = n.next.Load() {
		if n.key == k {
			return &n.value
		}
	}
	return nil
}

// Add returns what belongs to k, new if need be. It returns nil when the table
// would hold more than most keys.
func (t *Table[T]) Add(k quota.Key, most int) *T {
	b := t.bucket(k)
	if have := t.find(b, k); have != nil {
		return have
	}
	lock := &t.locks[b%uint64(len(t.locks))]
	lock.Lock()
	defer lock.Unlock()
	if have := t.find(b, k); have != nil {
		return have
	}
	if t.size.Load() >= int64(most) {
		return nil
	}
	n := &node[T]{key: k}
	n.next.Store(t.buckets[b].Load())
	t.buckets[b].Store(n)
	t.size.Add(1)
	return &n.value
}

// Sweep removes the keys for whose values gone returns true. A reader may have
// found the value just before; so gone marks it, and who finds the mark looks
// again.
func (t *Table[T]) Sweep(gone func(*T) bool) {
	for b := range t.buckets {
		if t.buckets[b].Load() == nil {
			continue
		}
		t.sweep(b, gone)
	}
}

func (t *Table[T]) sweep(b int, gone func(*T) bool) {
	lock := &t.locks[b%len(t.locks)]
	lock.Lock()
	defer lock.Unlock()
	for at := &t.buckets[b]; ; {
		n := at.Load()
		if n == nil {
			return
		}
		if gone(&n.value) {
			at.Store(n.next.Load())
			t.size.Add(-1)
			continue
		}
		at = &n.next
	}
}
