package identity

import (
	"sync"
	"time"
)

// cache remembers what tokens proved, by digest. It has two generations: when
// the young one is full it becomes the old one, and what was in use moves on. So
// it is bounded, and a flood of tokens cannot push out what is used.
type cache struct {
	shards [64]shard
}

type shard struct {
	mu         sync.RWMutex
	young, old map[digest]*verified
}

type digest [32]byte

const perShard = 512 // entries of one generation: 64 Ki tokens in all

// get returns what the token proved, nil when it is not known or not known any
// more.
func (c *cache) get(d digest, now time.Time) *verified {
	s := &c.shards[d[0]%64]
	s.mu.RLock()
	v, young := s.young[d]
	if !young {
		v = s.old[d]
	}
	s.mu.RUnlock()
	switch {
	case v == nil || !now.Before(v.until):
		return nil
	case !young:
		c.put(d, v)
	}
	return v
}

func (c *cache) put(d digest, v *verified) {
	s := &c.shards[d[0]%64]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= perShard {
		s.old, s.young = s.young, make(map[digest]*verified)
	}
	s.young[d] = v
}
