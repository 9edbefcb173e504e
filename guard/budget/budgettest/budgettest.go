// Package budgettest holds what every budget.Ledger must do.
package budgettest

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
)

// Run checks the ledgers that fresh makes. It works in real time, with accounts
// that live for three seconds at most.
func Run(t *testing.T, fresh func(t *testing.T) budget.Ledger) {
	for _, c := range []struct {
		name string
		do   func(s *suite, t *testing.T)
	}{
		{"a budget admits what it has and no more", (*suite).bound},
		{"each measure is bounded by itself", (*suite).measures},
		{"what is not bounded is not refused", (*suite).unbounded},
		{"what was reserved and not used can be used", (*suite).less},
		{"what was given back can be used", (*suite).back},
		{"what is settled twice counts once", (*suite).twice},
		{"what a call uses beyond its reservation never makes a budget less than nothing", (*suite).beyond},
		{"what is refused by one account is charged to none", (*suite).nothing},
		{"one key is not charged for another", (*suite).apart},
		{"time passes from the first call on", (*suite).time},
		{"an account begins anew when its life ends", (*suite).life},
		{"an account that rests begins anew, and one that does not rest does not", (*suite).rests},
		{"the alert is told once", (*suite).alert},
		{"many at once get what there is and no more", (*suite).crowd},
		{"a reset makes an account begin anew", (*suite).reset},
		{"a grant raises a limit until the account begins anew", (*suite).grant},
		{"who has left has nothing reserved, or gets an answer", (*suite).left},
	} {
		for _, exact := range []bool{false, true} {
			name := c.name
			if exact {
				name += ", exact"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c.do(&suite{Ledger: fresh(t), exact: exact}, t)
			})
		}
	}
}

type suite struct {
	budget.Ledger
	exact bool
}

const long = time.Hour

// Limit returns a limit of money and calls with accounts that live for an hour.
func Limit(name string, exact bool, limit budget.Amounts) *budget.Limit {
	return &budget.Limit{Name: name, Max: limit, Life: long, Exact: exact, Lease: budget.Lease{Calls: 100, Idle: 100 * time.Millisecond, Hold: 5 * time.Second}}
}

func (s *suite) limit(limit budget.Amounts) *budget.Limit { return Limit("test", s.exact, limit) }

// Key returns a key for a name.
func Key(name string) budget.Key {
	sum := sha256.Sum256([]byte(name))
	return budget.Key(sum[:16])
}

// Claim returns a claim on the account of a name.
func Claim(l *budget.Limit, name string, cost int64) budget.Claim {
	return budget.Claim{Limit: l, Key: Key(l.Name + "/" + name), Amounts: budget.Amounts{cost, 1, 1, 0}}
}

// Reserve reserves as the guard does.
func Reserve(ctx context.Context, l budget.Ledger, claims []budget.Claim) (budget.Answer, error) {
	if a, known := l.TryReserve(claims); known {
		return a, nil
	}
	return l.Reserve(ctx, claims)
}

func (s *suite) reserve(t *testing.T, claims ...budget.Claim) (budget.Answer, []budget.Claim) {
	t.Helper()
	a, err := Reserve(t.Context(), s, claims)
	if err != nil || a.Outcome == budget.Unavailable {
		t.Fatalf("reserve: %v, %v", err, a.Cause)
	}
	return a, claims
}

// until makes calls of one cost, each of which uses what it reserved, until one
// is refused.
func (s *suite) until(t *testing.T, l *budget.Limit, name string, cost int64) (admitted int, refusal budget.Answer) {
	t.Helper()
	for n := range 10_000 {
		a, claims := s.reserve(t, Claim(l, name, cost))
		if a.Outcome != budget.Reserved {
			return n, a
		}
		s.Settle(claims, claims[0].Amounts)
	}
	t.Fatal("never refused")
	return 0, budget.Answer{}
}

// soon waits until something settled elsewhere has arrived.
func (s *suite) soon(t *testing.T, l *budget.Limit, cost int64) bool {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if a, _ := s.reserve(t, Claim(l, "a", cost)); a.Outcome == budget.Reserved {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// read reads an account when what was settled has arrived, which costs this much,
// and anything that should not has had time to.
func (s *suite) read(t *testing.T, l *budget.Limit, cost int64) (state budget.State) {
	t.Helper()
	time.Sleep(600 * time.Millisecond)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c := Claim(l, "a", 0)
		var err error
		if state, err = s.Read(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		if state.Used[budget.Cost] >= cost {
			break
		}
	}
	return state
}
