package surge

import (
	"context"
	"time"
)

// Valve decides how many calls are at a server at once, and whose. It knows what
// this process sent there and nothing of other replicas. It is called concurrently.
type Valve interface {
	// Enter lets a call in, or refuses it. It reports false when the call may
	// wait for its turn: Wait does that.
	Enter(c *Call) (Answer, bool)

	// Wait is Enter for a call that may wait, until ctx ends at the latest. An
	// error means that ctx ended; the call is not in then.
	Wait(ctx context.Context, c *Call) (Answer, error)

	// Replied says that the server gave its first sign of a call that is in.
	Replied(c *Call)

	// Leave says that a call that is in is over. Another time it does nothing.
	Leave(c *Call, e Ending)
}

// Call is one call on its way to a server.
type Call struct {
	Server string
	Work   string // calls of the same work should take about the same time
	Class  int    // the lower the sooner
	Tenant string // calls are shared out between tenants,
	Weight int    // in these parts,
	Caller string // and within a tenant between callers

	State any // the valve's own
}

// Outcome is what a Valve comes to.
type Outcome uint8

// The outcomes. The zero Outcome refuses.
const (
	Strained Outcome = iota // the server has no room, and others wait for it already
	Excess                  // the server has no room for more of this tenant
	Admitted
)

// Answer is what a Valve says about one call.
type Answer struct {
	Outcome Outcome
	After   time.Duration // of a refusal: until there may be room, going by how long calls take now
	Limit   int           // calls that the server gets at once at the moment
}

// Ending says how a call ended.
type Ending uint8

// The endings.
const (
	Done      Ending = iota
	Failed           // the server is overwhelmed: it failed, answered too late, or said so
	Abandoned        // nobody waited for the answer
	Unsent           // it never reached the server
)
