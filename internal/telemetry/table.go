package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// table is a map that grows and is read far more often than that. Reading takes
// no lock and allocates nothing, for which each addition copies the whole.
type table[K comparable, V any] struct {
	m  atomic.Pointer[map[K]*V]
	mu sync.Mutex
}

// get returns what is kept under k, or what makes makes of it. With a limit above
// zero no more than that many are made; then it returns nil.
func (t *table[K, V]) get(k K, limit int, makes func(K) *V) *V {
	if m := t.m.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
		if limit > 0 && len(*m) >= limit {
			return nil
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[K]*V)
	if m := t.m.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
		if limit > 0 && len(*m) >= limit {
			return nil
		}
		maps.Copy(next, *m)
	}
	v := makes(k)
	next[k] = v
	t.m.Store(&next)
	return v
}

// all returns what is kept. The caller must not change it.
func (t *table[K, V]) all() map[K]*V {
	if m := t.m.Load(); m != nil {
		return *m
	}
	return nil
}
