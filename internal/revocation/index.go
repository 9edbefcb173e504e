package revocation

import (
	"hash/maphash"
	"maps"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// name is what an entry is found by.
type name struct {
	kind          Kind
	issuer, value string
}

// index finds entries without a lock. A change copies one shard. One goroutine
// changes it at a time.
type index struct {
	seed   maphash.Seed
	shards [256]atomic.Pointer[map[name]*Entry]
	// counts says of which kinds there are entries, with an issuer and without,
	// so that nothing is looked up in vain.
	counts [kinds][2]atomic.Int64
	size   atomic.Int64
}

func newIndex() *index { return &index{seed: maphash.MakeSeed()} }

func (x *index) shard(n name) *atomic.Pointer[map[name]*Entry] {
	return &x.shards[maphash.String(x.seed, n.value)%uint64(len(x.shards))]
}

func (x *index) count(e *Entry, by int64) {
	issuer := 0
	if e.Issuer != "" {
		issuer = 1
	}
	x.counts[e.Kind.index()][issuer].Add(by)
	x.size.Add(by)
}

// set puts e in the place of what has its name, or removes that if remove is
// set.
func (x *index) set(e *Entry, remove bool) {
	n := name{e.Kind, e.Issuer, e.Value}
	p := x.shard(n)
	var next map[name]*Entry
	if old := p.Load(); old != nil {
		next = maps.Clone(*old)
	} else {
		next = make(map[name]*Entry)
	}
	before := next[n]
	switch {
	case !remove:
		next[n] = e
		if before == nil {
			x.count(e, 1) // before it can be found: a reader that sees no count looks for nothing
		}
		p.Store(&next)
	case before != nil:
		delete(next, n)
		p.Store(&next)
		x.count(e, -1)
	}
}

// find returns the entry of a name under this issuer, or of every issuer's.
func (x *index) find(k Kind, issuer, value string, issued, now time.Time) *Entry {
	if value == "" {
		return nil
	}
	for with, scope := range [2]string{"", issuer} {
		if x.counts[k.index()][with].Load() == 0 || with == 1 && issuer == "" {
			continue
		}
		n := name{k, scope, value}
		m := x.shard(n).Load()
		if m == nil {
			continue
		}
		if e := (*m)[n]; e != nil && !e.over(now) && !e.spares(issued) {
			return e
		}
	}
	return nil
}

// match returns the entry that revokes p, or nil.
func (x *index) match(p *guard.Principal, now time.Time) *Entry {
	for _, n := range [...]struct {
		kind  Kind
		value string
	}{{Token, p.TokenID}, {Subject, p.Subject}, {Client, p.Client}} {
		if e := x.find(n.kind, p.Issuer, n.value, p.Issued, now); e != nil {
			return e
		}
	}
	for _, actor := range p.Actors {
		if e := x.find(Subject, p.Issuer, actor, p.Issued, now); e != nil {
			return e
		}
	}
	if len(p.Actors) == 0 { // or else the agent is the first of them
		if e := x.find(Subject, p.Issuer, p.Agent, p.Issued, now); e != nil {
			return e
		}
	}
	return x.find(Peer, "", p.Peer, time.Time{}, now)
}
