// Package budgettest holds what every budget.Ledger must do.
package budgettest

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
)

// Run checks the ledgers that fresh makes. It works in real time, with accounts
// that live for two seconds.
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
	for range 150 {
		if a, _ := s.reserve(t, Claim(l, "a", cost)); a.Outcome == budget.Reserved {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

func (s *suite) bound(t *testing.T) {
	for _, c := range []struct {
		limit, cost int64
		want        int
	}{{10, 10, 1}, {10, 11, 0}, {100, 7, 14}, {3000, 10, 300}} {
		l := s.limit(budget.Amounts{budget.Cost: c.limit})
		n, a := s.until(t, l, string(rune('a'+c.want)), c.cost)
		if n != c.want || a.Measure != budget.Cost || a.Left != c.limit-int64(n)*c.cost {
			t.Errorf("limit %d, cost %d: admitted %d, then %+v", c.limit, c.cost, n, a)
		}
		if n > 0 && (a.After <= long/2 || a.After > long) {
			t.Errorf("begins anew in %v", a.After)
		}
	}
}

func (s *suite) measures(t *testing.T) {
	for m := range budget.Measures {
		l := s.limit(budget.Amounts{1000, 1000, 1000, 1000})
		l.Max[m] = 3
		claim := Claim(l, m.String(), 1)
		claim.Amounts = budget.Amounts{1, 1, 1, 1}
		n := 0
		for ; ; n++ {
			claims := []budget.Claim{claim}
			a, err := Reserve(t.Context(), s, claims)
			if err != nil {
				t.Fatal(err)
			}
			if a.Outcome != budget.Reserved {
				if a.Measure != m || a.Left != 0 {
					t.Errorf("%s: refused with %+v", m, a)
				}
				break
			}
			s.Settle(claims, claim.Amounts)
		}
		if n != 3 {
			t.Errorf("%s: %d calls of 3", m, n)
		}
	}
}

func (s *suite) unbounded(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Calls: 500})
	if n, _ := s.until(t, l, "a", budget.Most/2); n != 500 {
		t.Errorf("%d calls", n)
	}
	free := s.limit(budget.Amounts{budget.Cost: 5})
	s.until(t, free, "b", 5)
	if a, _ := s.reserve(t, Claim(free, "b", 0)); a.Outcome != budget.Reserved {
		t.Errorf("a call that costs nothing: %+v", a)
	}
}

func (s *suite) less(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 10})
	_, claims := s.reserve(t, Claim(l, "a", 10))
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome == budget.Reserved {
		t.Fatal("what is reserved was reserved again")
	}
	s.Settle(claims, budget.Amounts{4, 1, 0, 0})
	if !s.soon(t, l, 6) {
		t.Fatal("6 of 10 are free")
	}
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome == budget.Reserved {
		t.Error("11 of 10 were reserved")
	}
}

func (s *suite) back(t *testing.T) {
	l := s.limit(budget.Amounts{10, 1, 0, 0})
	_, claims := s.reserve(t, Claim(l, "a", 10))
	s.Settle(claims, budget.Amounts{})
	if !s.soon(t, l, 10) {
		t.Error("what was given back is not free")
	}
}

func (s *suite) twice(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 10})
	_, claims := s.reserve(t, Claim(l, "a", 5))
	_, others := s.reserve(t, Claim(l, "a", 5))
	s.Settle(claims, budget.Amounts{})
	s.Settle(claims, budget.Amounts{})
	if !s.soon(t, l, 5) {
		t.Fatal("what was given back is not free")
	}
	time.Sleep(300 * time.Millisecond)
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome == budget.Reserved {
		t.Error("one reservation was given back twice")
	}
	s.Settle(others, budget.Amounts{5, 1, 0, 0})
	s.Settle(others, budget.Amounts{5, 1, 0, 0})
	if n := s.read(t, l).Used[budget.Cost]; n != 5 {
		t.Errorf("%d used of 5", n)
	}
}

// read reads an account when what was settled has arrived.
func (s *suite) read(t *testing.T, l *budget.Limit) budget.State {
	t.Helper()
	time.Sleep(600 * time.Millisecond)
	c := Claim(l, "a", 0)
	state, err := s.Read(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (s *suite) beyond(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 10})
	_, claims := s.reserve(t, Claim(l, "a", 4))
	s.Settle(claims, budget.Amounts{25, 1, 0, 0})
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome == budget.Reserved || a.Left != 0 {
		t.Errorf("after 25 of 10: %+v", a)
	}
	state := s.read(t, l)
	if left, bounded := state.Left(budget.Cost); left != 0 || !bounded || state.Used[budget.Cost] != 10 || state.Overrun != 15 {
		t.Errorf("%+v", state)
	}
}

func (s *suite) nothing(t *testing.T) {
	wide, narrow := Limit("wide", s.exact, budget.Amounts{budget.Calls: 10}), Limit("narrow", s.exact, budget.Amounts{budget.Cost: 1})
	s.until(t, narrow, "a", 1)
	for range 20 {
		for _, claims := range [][]budget.Claim{
			{Claim(wide, "a", 1), Claim(narrow, "a", 1)},
			{Claim(narrow, "a", 1), Claim(wide, "a", 1)},
		} {
			if a, _ := s.reserve(t, claims...); a.Outcome != budget.Exhausted || claims[a.Claim].Limit != narrow {
				t.Fatalf("got %+v", a)
			}
			for i := range claims {
				if claims[i].Held {
					t.Fatal("a claim is held after a refusal")
				}
			}
		}
	}
	if n, _ := s.until(t, wide, "a", 1); n != 10 {
		t.Errorf("%d left of 10", n)
	}
}

func (s *suite) apart(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 5})
	s.until(t, l, "a", 1)
	if n, _ := s.until(t, l, "b", 1); n != 5 {
		t.Errorf("b got %d", n)
	}
}

func (s *suite) time(t *testing.T) {
	l := s.limit(budget.Amounts{})
	l.Time = 400 * time.Millisecond
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome != budget.Reserved {
		t.Fatalf("%+v", a)
	}
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome != budget.Reserved {
		t.Fatalf("%+v", a)
	}
	time.Sleep(500 * time.Millisecond)
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome != budget.Exhausted || a.Measure != budget.Time || a.After <= 0 {
		t.Errorf("after its time: %+v", a)
	}
	if a, _ := s.reserve(t, Claim(l, "b", 1)); a.Outcome != budget.Reserved {
		t.Errorf("another account: %+v", a)
	}
}

func (s *suite) life(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 3})
	l.Life = 2 * time.Second
	n, a := s.until(t, l, "a", 1)
	if n != 3 || a.After <= 0 || a.After > l.Life {
		t.Fatalf("%d admitted, then %+v", n, a)
	}
	time.Sleep(a.After + 50*time.Millisecond)
	if !s.soon(t, l, 3) {
		t.Error("it does not begin anew")
	}
}

func (s *suite) rests(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Calls: 8})
	l.Life, l.Resting = 2*time.Second, true
	for i := range 8 {
		a, claims := s.reserve(t, Claim(l, "a", 1))
		if a.Outcome != budget.Reserved {
			t.Fatalf("call %d: %+v", i, a)
		}
		s.Settle(claims, claims[0].Amounts)
		time.Sleep(300 * time.Millisecond)
	}
	a, _ := s.reserve(t, Claim(l, "a", 1))
	if a.Outcome != budget.Exhausted {
		t.Fatalf("it began anew without a rest: %+v", a)
	}
	time.Sleep(l.Life + 200*time.Millisecond)
	if !s.soon(t, l, 1) {
		t.Error("it does not begin anew after a rest")
	}
}

func (s *suite) alert(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 100})
	l.Alert = 80
	low, crossed := 0, 0
	for i := range 100 {
		a, claims := s.reserve(t, Claim(l, "a", 1))
		if a.Outcome != budget.Reserved {
			t.Fatalf("call %d: %+v", i, a)
		}
		if claims[0].Low {
			low++
		}
		if claims[0].Crossed {
			crossed++
			if i != 79 {
				t.Errorf("told at call %d", i+1)
			}
		}
		s.Settle(claims, claims[0].Amounts)
	}
	if low != 21 || crossed != 1 {
		t.Errorf("%d calls were low and %d were told so first", low, crossed)
	}
	claim := Claim(l, "a", 0)
	if err := s.Grant(t.Context(), &claim, budget.Amounts{budget.Cost: 100}); err != nil {
		t.Fatal(err)
	}
	again := 0
	for range 90 {
		a, claims := s.reserve(t, Claim(l, "a", 1))
		if a.Outcome != budget.Reserved {
			time.Sleep(10 * time.Millisecond) // the refusal of a moment ago is remembered for a moment
			continue
		}
		if claims[0].Crossed {
			again++
		}
		s.Settle(claims, claims[0].Amounts)
	}
	if again != 1 {
		t.Errorf("after a grant it was told %d times", again)
	}
}

func (s *suite) crowd(t *testing.T) {
	const count = 200
	l := s.limit(budget.Amounts{budget.Cost: 3 * count})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 60 {
				claims := []budget.Claim{Claim(l, "a", 3)}
				a, err := Reserve(t.Context(), s, claims)
				if err != nil {
					t.Error(err)
				}
				if a.Outcome == budget.Reserved {
					admitted.Add(1)
					s.Settle(claims, claims[0].Amounts)
				}
			}
		})
	}
	wg.Wait()
	if n := admitted.Load(); n != count {
		t.Errorf("admitted %d of %d", n, count)
	}
}

func (s *suite) reset(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 5})
	s.until(t, l, "a", 1)
	claim := Claim(l, "a", 0)
	if state := s.read(t, l); state.Used[budget.Cost] != 5 {
		t.Fatalf("%+v", state)
	}
	if err := s.Reset(t.Context(), &claim); err != nil {
		t.Fatal(err)
	}
	if !s.soon(t, l, 5) {
		t.Error("a reset changed nothing")
	}
	other := Claim(l, "nobody", 0)
	if err := s.Reset(t.Context(), &other); err != nil {
		t.Error(err)
	}
}

func (s *suite) grant(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 5})
	s.until(t, l, "a", 1)
	claim := Claim(l, "a", 0)
	if err := s.Grant(t.Context(), &claim, budget.Amounts{budget.Cost: 3}); err != nil {
		t.Fatal(err)
	}
	if state := s.read(t, l); state.Max[budget.Cost] != 8 || state.Used[budget.Cost] != 5 {
		t.Errorf("%+v", state)
	}
	if n, _ := s.until(t, l, "a", 1); n != 3 {
		t.Errorf("%d calls more", n)
	}
	unopened := Claim(l, "b", 0)
	if err := s.Grant(t.Context(), &unopened, budget.Amounts{budget.Cost: 3}); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.until(t, l, "b", 1); n != 8 {
		t.Errorf("%d calls of an account that was granted more before its first", n)
	}
}

func (s *suite) left(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 5})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for range 3 {
		claims := []budget.Claim{Claim(l, "a", 1)}
		if a, err := Reserve(ctx, s, claims); err == nil && a.Outcome == budget.Reserved {
			n++
			s.Settle(claims, claims[0].Amounts)
		} else if err != nil && claims[0].Held {
			t.Error("an error, and a claim is held")
		}
	}
	if more, _ := s.until(t, l, "a", 1); n+more > 5 || n+more < 2 {
		t.Errorf("admitted %d to who had left and %d to others", n, more)
	}
}
