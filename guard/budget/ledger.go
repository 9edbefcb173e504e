package budget

import (
	"context"
	"time"
)

// Ledger keeps the accounts of budgets. A Ledger that replicas share makes one
// budget of all of them. It is called concurrently.
//
// What a call may use is reserved before it goes on, and settled afterwards with
// what it did use. The reservations of a process that died come back by
// themselves. An account is never below zero: what calls used beyond what was
// reserved for them, and the budget did not have any more, is kept apart (see
// [State]).
type Ledger interface {
	// TryReserve reserves from every account or from none, by what is known in this
	// process. It reports false, and has reserved nothing, when somebody else has
	// to be asked: Reserve does that.
	TryReserve(claims []Claim) (Answer, bool)

	// Reserve is TryReserve, but may wait. An error means that it gave up before
	// there was an answer, and has reserved nothing.
	Reserve(ctx context.Context, claims []Claim) (Answer, error)

	// Settle puts what a call used in the place of what was reserved for it. The
	// zero Amounts give everything back. It does not wait, and counts once.
	Settle(claims []Claim, used Amounts)

	// Look returns what this process knows of an account, without asking anybody.
	// It reports false when that is nothing.
	Look(l *Limit, k Key) (State, bool)

	Books
}

// Books are the accounts as people see and change them.
type Books interface {
	// Read returns an account as all replicas see it.
	Read(ctx context.Context, c *Claim) (State, error)
	// Reset makes an account begin anew.
	Reset(ctx context.Context, c *Claim) error
	// Grant raises the limits of an account until it begins anew.
	Grant(ctx context.Context, c *Claim, more Amounts) error
}

// Measure is something that a budget bounds.
type Measure uint8

// The measures.
const (
	Cost        Measure    = iota // millionths of a US dollar
	Calls                         // of tools
	Bytes                         // that came back
	Destructive                   // calls that destroy something
	Measures                      // their number
	Time        = Measures        // since the first call; an [Answer] may name it
)

// Amounts are one number for each measure.
type Amounts [Measures]int64

// Most is more than any amount can be, and small enough that sums of amounts are
// exact also where numbers are floating ones.
const Most = 1_000_000_000_000_000

// Key names an account. It is a digest, so that accounts of any caller are of
// one size and tell nobody's name.
type Key [16]byte

// Limit is what a Ledger has to know of a budget. It does not change.
type Limit struct {
	Name    string
	Max     Amounts       // 0 bounds nothing
	Time    time.Duration // since the first call of an account; 0 bounds nothing
	Life    time.Duration // after which an account begins anew; 0 for one that ends with its period
	Resting bool          // Life begins with the last call rather than with the first
	Alert   int           // percent of any bound from which an account is low; 0 for never
	Exact   bool          // no process takes anything ahead of its calls
	OnError OnError
	Lease   Lease
}

// OnError says what becomes of a call that cannot be counted.
type OnError uint8

// What may become of it. The zero OnError refuses it.
const (
	OnErrorDeny  OnError = iota
	OnErrorAllow         // it passes, and is counted when that is possible again
	OnErrorLocal         // the same, within this replica's share of what was left
)

// Lease bounds what one process takes ahead of the calls of one account.
type Lease struct {
	Calls uint32        // so many times what a call reserves; never more than an eighth of what is left
	Idle  time.Duration // after which what is unused goes back
	Hold  time.Duration // after which what a process holds comes back by itself, should it have died
}

// Claim is one call's claim on one account.
type Claim struct {
	Limit   *Limit
	Key     Key
	Ends    time.Time // of an account without Life
	Amounts Amounts   // to be reserved

	Low     bool // with Reserved: the account has reached Limit.Alert
	Crossed bool // and this call is the first to be told

	Account any  // the ledger's own: where it is reserved
	Held    bool // the ledger's own: it is
}

// Outcome is what a Ledger comes to.
type Outcome uint8

// The outcomes. The zero Outcome refuses.
const (
	Unavailable Outcome = iota // nothing can be counted, and the budget's on_error is deny
	Exhausted                  // some account has too little left
	Reserved
)

// Answer is what a Ledger says about one call.
type Answer struct {
	Outcome  Outcome
	Claim    int           // index of the claim that refused
	Measure  Measure       // with Exhausted: what there is too little of
	Left     int64         // of it; of Time nanoseconds
	After    time.Duration // with Exhausted: when the account begins anew
	Cause    error         // with Unavailable: why
	Unshared bool          // with Reserved: some account was this replica's own, or none at all, by its on_error
}

// State is an account at some moment.
type State struct {
	Used    Amounts       // by calls that are settled
	Held    Amounts       // by reservations, and by replicas ahead of calls
	Max     Amounts       // with what was granted beyond the limit; 0 bounds nothing
	Time    time.Duration // since the first call
	Renews  time.Duration // until the account begins anew
	Overrun int64         // cost of calls beyond all that the budget had
	Low     bool
}

// Left returns how much of a measure is left, and whether it is bounded.
func (s *State) Left(m Measure) (left int64, bounded bool) {
	if s.Max[m] == 0 {
		return 0, false
	}
	return max(0, s.Max[m]-s.Used[m]-s.Held[m]), true
}
