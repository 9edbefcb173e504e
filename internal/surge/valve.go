// Package surge finds out how many calls each server can bear at once, by how
// long it takes and how often it fails, and lets waiting calls in by turns. It
// knows the calls of this process only.
package surge

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/surge"
)

// Valves is a [surge.Valve] with one gate for each server. It outlives
// configurations.
type Valves struct {
	now    func() time.Duration // since some moment; it does not go back
	config atomic.Pointer[surge.Config]

	mu    sync.RWMutex
	gates map[string]*gate
}

// New returns valves without any server yet. now is a clock that does not go
// back.
func New(now func() time.Duration, c surge.Config) *Valves {
	v := &Valves{now: now, gates: make(map[string]*gate)}
	v.Configure(c)
	return v
}

// Configure changes what holds from now on. What was learned of servers stays.
func (v *Valves) Configure(c surge.Config) {
	v.config.Store(&c)
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, g := range v.gates {
		g.mu.Lock()
		g.configure(&c)
		g.dispatch(v.now())
		if g.n == 0 && len(g.waiting) == 0 && g.idle {
			g.gone = true
			delete(v.gates, name)
		}
		g.idle = true // until it is used again
		g.mu.Unlock()
	}
}

// lock returns the gate of a server, locked.
func (v *Valves) lock(server string) *gate {
	for {
		v.mu.RLock()
		g := v.gates[server]
		v.mu.RUnlock()
		if g == nil {
			g = v.open(server)
		}
		g.mu.Lock()
		if !g.gone {
			g.idle = false
			return g
		}
		g.mu.Unlock()
	}
}

func (v *Valves) open(server string) *gate {
	v.mu.Lock()
	defer v.mu.Unlock()
	if g := v.gates[server]; g != nil {
		return g
	}
	g := newGate(v.config.Load())
	v.gates[strings.Clone(server)] = g
	return g
}

// ticket is the valve's own state of a call.
type ticket struct {
	gate  *gate
	call  *surge.Call
	at    place
	party *party
	crowd *crowd
	index int           // among those inside
	ready chan struct{} // closed when a waiting call is settled

	came    time.Duration // to the gate
	entered time.Duration
	beside  int  // calls at the server when it entered, itself included
	quick   bool // its reply was timed
	refusal surge.Answer
}

// place is where a call is.
type place uint8

const (
	outside place = iota // refused, or not there yet
	waiting
	inside
	left
)

// Enter lets c in or refuses it, or finds that it may wait.
func (v *Valves) Enter(c *surge.Call) (surge.Answer, bool) {
	now := v.now()
	g := v.lock(c.Server)
	defer g.mu.Unlock()
	t := &ticket{gate: g, call: c, came: now}
	c.State = t
	g.law.overdue(g.in, now)
	g.join(t)
	if g.fits(t) { // nobody who waits does, or he would be in
		g.admit(t, now)
		return surge.Answer{Outcome: surge.Admitted, Limit: g.limit()}, true
	}
	if g.enqueue(t) {
		return surge.Answer{}, false
	}
	a := g.refusal(t)
	g.part(t)
	return a, true
}

// Wait waits for the turn of a call that Enter did not settle.
func (v *Valves) Wait(ctx context.Context, c *surge.Call) (surge.Answer, error) {
	t, ok := c.State.(*ticket)
	if !ok {
		return surge.Answer{}, context.Canceled
	}
	limit := time.NewTimer(v.config.Load().Queue.Time - (v.now() - t.came))
	defer limit.Stop()
	var err error
	select {
	case <-t.ready:
	case <-limit.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	switch t.at {
	case inside:
		return surge.Answer{Outcome: surge.Admitted, Limit: g.limit()}, nil // in time, if only just
	case waiting:
		a := g.refusal(t)
		g.drop(t)
		g.dispatch(v.now())
		return a, err
	case left:
		return surge.Answer{}, context.Canceled
	}
	return t.refusal, err
}

// Idle reports whether a server has little to do: few calls for its limit, nobody
// who waits, and no sign of strain. One that nobody calls is idle.
func (v *Valves) Idle(server string) bool {
	v.mu.RLock()
	g := v.gates[server]
	v.mu.RUnlock()
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) == 0 && g.n*100 < g.limit()*g.config.Idle && g.law.strain == 0 && !g.law.doubt
}

// Replied times the first sign of the server.
func (v *Valves) Replied(c *surge.Call) {
	t, ok := c.State.(*ticket)
	if !ok {
		return
	}
	now := v.now()
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	if t.at == inside && !t.quick {
		t.quick = true
		t.gate.law.observe(t, now, now-t.entered)
	}
}

// Leave makes room.
func (v *Valves) Leave(c *surge.Call, e surge.Ending) {
	t, ok := c.State.(*ticket)
	if !ok {
		return
	}
	now := v.now()
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	switch t.at {
	case waiting:
		g.drop(t)
		t.at = left
		close(t.ready)
	case inside:
		g.release(t, e, now)
		t.at = left
	case outside:
		t.at = left
		return
	}
	g.dispatch(now)
}
