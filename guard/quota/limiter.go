package quota

import (
	"context"
	"time"
)

// Limiter counts calls. A Limiter that replicas share makes one limit of all of
// them. It is called concurrently.
//
// A counter slides: in any span as long as a window, at most its count of calls
// is admitted, over all replicas, plus what replicas held ready when the span
// began (see [Lease]). A charge that may use what is lent counts against more: so
// in any span at most that many are admitted, beyond the window's own count only
// such charges. What is refused is charged nowhere.
type Limiter interface {
	// TryTake charges one call to every counter or to none, from what is known
	// in this process. It reports false, and has charged nothing, when somebody
	// else has to be asked: Take does that.
	TryTake(charges []Charge) (Answer, bool)

	// Take is TryTake, but may wait. An error means that it gave up before there
	// was an answer, and has charged nothing.
	Take(ctx context.Context, charges []Charge) (Answer, error)

	// Return gives back what an admitted call was charged, and the place of a call
	// in flight that is over. It does not wait.
	Return(charges []Charge)

	// Spend charges more to the counters of an admitted call, whether there is
	// room or not. It does not wait.
	Spend(charges []Charge, units uint32)
}

// Outcome is what a Limiter comes to.
type Outcome uint8

// The outcomes. The zero Outcome refuses.
const (
	Unavailable Outcome = iota // the calls cannot be counted, and the rule's on_error is deny
	Exceeded                   // some counter has no room
	Admitted
)

// Answer is what a Limiter says about one call.
type Answer struct {
	Outcome  Outcome
	Charge   int           // index of the charge that refused
	After    time.Duration // with Exceeded: when that counter has room again, if nobody else takes it
	Cause    error         // with Unavailable: why
	Unshared bool          // with Admitted: some counter was this replica's own, or none at all, by its rule's on_error
}

// Key names a counter. It is a digest, so that counters of any caller are of one
// size and tell nobody's name.
type Key [16]byte

// Charge is one call's claim on one counter.
type Charge struct {
	Limit *Limit
	Key   Key
	Group uint64 // counters of one group can be charged together
	Lend  bool   // what windows lend may be used, as the server is idle

	Lent  bool   // set with Admitted: some window's own count may be exceeded
	Left  uint32 // likewise, if Known: what the tightest window's own count has left, as far as this process knows
	Tight uint8  // index of that window
	Known bool

	Held  Held  // the limiter's own: where the call is charged
	Stamp int64 // the limiter's own: when it was charged
}

// Held says where a call is charged.
type Held uint8

// Where a call can be charged.
const (
	Nowhere   Held = iota
	Shared         // in the shared counter
	Own            // in a counter of this process
	Unlimited      // in none, as there is none to be had
)

// Limit is what a Limiter has to know of a rule. It does not change.
type Limit struct {
	Name    string
	Kind    Kind
	Windows []Window // at least one; shortest first, each with a length of its own. Of limits in flight the only one has no length
	Exact   bool
	OnError OnError
	Lease   Lease
}

// Kind is what a limit counts.
type Kind uint8

// What can be counted. Of bytes, one unit is charged before the call, and the
// rest of what it brought is spent when it is over.
const (
	Calls    Kind = iota
	InFlight      // calls that are not over yet; what a replica holds, it gives back when it dies
	Bytes         // in units of [Unit]
)

// Unit is how many bytes count as one.
const Unit = 256

// Window is a number of calls in a span of time.
type Window struct {
	Count uint32 // at least 1
	Per   time.Duration
	Lend  uint32 // further calls, for charges that may use what is lent
}

// Most is how many calls the window may hold with a charge in it.
func (w *Window) Most(lend bool) uint32 {
	if lend {
		return w.Count + w.Lend
	}
	return w.Count
}

// Longest returns the longest span.
func (l *Limit) Longest() time.Duration { return l.Windows[len(l.Windows)-1].Per }

// OnError says what becomes of a call that cannot be counted.
type OnError uint8

// What may become of it. The zero OnError refuses it.
const (
	OnErrorDeny  OnError = iota
	OnErrorAllow         // it passes uncounted
	OnErrorLocal         // this replica counts by itself, with its share of the limit
)

// Lease bounds what one replica takes ahead of the calls of one counter.
type Lease struct {
	Max  uint32        // calls; never more than an eighth of what is left
	Time time.Duration // after which unused ones go back
}
