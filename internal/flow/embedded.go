// Package flow keeps the labels that callers and tasks carry in this process: the
// whole of the keeping on one machine.
package flow

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/flow"
)

const shards = 64

// errFull is the error of an Add for which there is no room. Labels whose time is
// not over are never forgotten to make some: whoever has many keys could shed
// those of others.
var errFull = errors.New("flow: as many callers and tasks carry labels as max_keys allows")

// Embedded is a [flow.Store] in memory.
type Embedded struct {
	now   func() time.Time
	most  atomic.Int64
	size  atomic.Int64
	parts [shards]part
}

type part struct {
	mu sync.RWMutex
	at map[flow.Key][]label
	_  [32]byte // two parts share no cache line
}

type label struct {
	name   string
	source flow.Source
	until  time.Time
}

// NewEmbedded returns a store for at most most keys.
func NewEmbedded(now func() time.Time, most int) *Embedded {
	e := &Embedded{now: now}
	e.Bound(most)
	for i := range e.parts {
		e.parts[i].at = make(map[flow.Key][]label)
	}
	return e
}

// Bound changes how many keys are kept.
func (e *Embedded) Bound(most int) { e.most.Store(int64(most)) }

// Keys returns how many there are.
func (e *Embedded) Keys() int { return int(e.size.Load()) }

func (e *Embedded) part(k flow.Key) *part { return &e.parts[k[0]%shards] } // keys are digests

// TryRead implements flow.Store.
func (e *Embedded) TryRead(keys []flow.Key) ([][]flow.Label, bool) {
	out := make([][]flow.Label, len(keys))
	if e.size.Load() == 0 {
		return out, true
	}
	now := e.now()
	for i, k := range keys {
		p := e.part(k)
		p.mu.RLock()
		out[i] = told(p.at[k], now)
		p.mu.RUnlock()
	}
	return out, true
}

func told(list []label, now time.Time) (out []flow.Label) {
	for i := range list {
		if left := list[i].until.Sub(now); left > 0 {
			out = append(out, flow.Label{Name: list[i].name, Source: list[i].source, Left: left})
		}
	}
	return out
}

// Read implements flow.Store.
func (e *Embedded) Read(_ context.Context, keys []flow.Key) ([][]flow.Label, error) {
	out, _ := e.TryRead(keys)
	return out, nil
}

// Add implements flow.Store.
func (e *Embedded) Add(_ context.Context, entries []flow.Entry) error {
	now := e.now()
	for _, one := range entries {
		if err := e.add(one, now); err != nil {
			return err
		}
	}
	return nil
}

func (e *Embedded) add(one flow.Entry, now time.Time) error {
	if len(one.Labels) == 0 {
		return nil
	}
	p := e.part(one.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	have, known := p.at[one.Key]
	if !known {
		if e.size.Load() >= e.most.Load() {
			return errFull
		}
		e.size.Add(1)
	}
	list := make([]label, 0, len(have)+len(one.Labels)) // readers have the old one
	for _, l := range have {
		if l.until.After(now) {
			list = append(list, l)
		}
	}
	for _, l := range one.Labels {
		list = put(list, label{l.Name, l.Source, now.Add(l.Left)})
	}
	p.at[one.Key] = list
	return nil
}

func put(list []label, l label) []label {
	for i := range list {
		if list[i].name == l.name {
			if list[i].source = l.source; l.until.After(list[i].until) {
				list[i].until = l.until
			}
			return list
		}
	}
	return append(list, l)
}

// Forget implements flow.Store.
func (e *Embedded) Forget(_ context.Context, k flow.Key) ([]flow.Label, error) {
	p := e.part(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	list, known := p.at[k]
	if known {
		delete(p.at, k)
		e.size.Add(-1)
	}
	return told(list, e.now()), nil
}

// Sweep forgets what is over.
func (e *Embedded) Sweep() {
	now := e.now()
	for i := range e.parts {
		p := &e.parts[i]
		p.mu.Lock()
		for k, list := range p.at {
			if told(list, now) == nil {
				delete(p.at, k)
				e.size.Add(-1)
			}
		}
		p.mu.Unlock()
	}
}
