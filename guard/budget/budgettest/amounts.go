package budgettest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
)

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
	if n := s.read(t, l, 5).Used[budget.Cost]; n != 5 {
		t.Errorf("%d used of 5", n)
	}
}

func (s *suite) beyond(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 10})
	_, claims := s.reserve(t, Claim(l, "a", 4))
	s.Settle(claims, budget.Amounts{25, 1, 0, 0})
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome == budget.Reserved || a.Left != 0 {
		t.Errorf("after 25 of 10: %+v", a)
	}
	state := s.read(t, l, 10)
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
