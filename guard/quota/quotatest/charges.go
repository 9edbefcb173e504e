package quotatest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

func (s *suite) nothing(t *testing.T) {
	wide, narrow := Limit("wide", s.exact, quota.Window{Count: 10, Per: long}), Limit("narrow", s.exact, quota.Window{Count: 1, Per: long})
	s.take(t, Charge(narrow, "a"))
	for range 20 {
		for _, charges := range [][]quota.Charge{
			{Charge(wide, "a"), Charge(narrow, "a")},
			{Charge(narrow, "a"), Charge(wide, "a")},
			{Charge(wide, "b"), Charge(narrow, "a")}, // counters apart
		} {
			if a, _ := s.take(t, charges...); a.Outcome != quota.Exceeded || charges[a.Charge].Limit != narrow {
				t.Fatalf("got %+v", a)
			}
		}
	}
	for _, name := range []string{"a", "b"} {
		if n, _ := s.until(t, wide, name); n != 10 {
			t.Errorf("%s has %d left of 10", name, n)
		}
	}
}

func (s *suite) back(t *testing.T) {
	l := s.limit(quota.Window{Count: 4, Per: long / 2}, quota.Window{Count: 5, Per: long})
	_, charges := s.take(t, Charge(l, "a"))
	if n, _ := s.until(t, l, "a"); n != 3 {
		t.Fatalf("%d more admitted", n)
	}
	s.Return(charges)
	if !s.settled(t, l, "a") {
		t.Fatal("what was given back cannot be taken")
	}
	if a, _ := s.take(t, Charge(l, "a")); a.Outcome == quota.Admitted {
		t.Error("more came back than was given")
	}
}

func (s *suite) twice(t *testing.T) {
	l := s.limit(quota.Window{Count: 3, Per: long})
	_, charges := s.take(t, Charge(l, "a"))
	s.until(t, l, "a")
	s.Return(charges)
	s.Return(charges)
	if !s.settled(t, l, "a") {
		t.Fatal("what was given back cannot be taken")
	}
	time.Sleep(200 * time.Millisecond)
	if a, _ := s.take(t, Charge(l, "a")); a.Outcome == quota.Admitted {
		t.Error("one call was given back twice")
	}
}

func (s *suite) late(t *testing.T) {
	l := s.limit(quota.Window{Count: 2, Per: 2 * time.Second}, quota.Window{Count: 1000, Per: long})
	_, charges := s.take(t, Charge(l, "a"))
	time.Sleep(2200 * time.Millisecond)
	s.until(t, l, "a")
	s.Return(charges) // its short window is left behind
	time.Sleep(50 * time.Millisecond)
	if a, _ := s.take(t, Charge(l, "a")); a.Outcome == quota.Admitted {
		t.Error("a call of the past made room in the present")
	}
}

func (s *suite) apart(t *testing.T) {
	l := s.limit(quota.Window{Count: 5, Per: long})
	s.until(t, l, "a")
	if n, _ := s.until(t, l, "b"); n != 5 {
		t.Errorf("b got %d", n)
	}
}

func (s *suite) crowd(t *testing.T) {
	const count = 200
	l := s.limit(quota.Window{Count: count, Per: long})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				a, err := Take(t.Context(), s, []quota.Charge{Charge(l, "a")})
				if err != nil {
					t.Error(err)
				}
				if a.Outcome == quota.Admitted {
					admitted.Add(1)
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
	l := s.limit(quota.Window{Count: 5, Per: long})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for range 3 {
		charges := []quota.Charge{Charge(l, "a")}
		if a, err := Take(ctx, s, charges); err == nil && a.Outcome == quota.Admitted {
			n++
		} else if err != nil && charges[0].Held != quota.Nowhere {
			t.Error("an error, and a charge is held")
		}
	}
	if more, _ := s.until(t, l, "a"); n+more > 5 || n+more < 2 {
		t.Errorf("admitted %d to who had left and %d to others", n, more)
	}
}

func (s *suite) spend(t *testing.T) {
	const per = 2 * time.Second
	l := Bytes("bytes", s.exact, quota.Window{Count: 100, Per: per})
	a, charges := s.take(t, Charge(l, "a"))
	if a.Outcome != quota.Admitted {
		t.Fatal(a)
	}
	s.Spend(charges, 500) // more than there is: the call had been let in
	refused := false
	for end := time.Now().Add(per); time.Now().Before(end); { // it arrives within a tenth of a second, but on a busy machine
		if refused = refused || s.outcome(t, l) == quota.Exceeded; refused {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !refused {
		t.Fatal("nothing was charged")
	}
	time.Sleep(per + per/10)
	if got := s.outcome(t, l); got != quota.Admitted {
		t.Errorf("refused, though all is left behind: %d", got)
	}
}

func (s *suite) outcome(t *testing.T, l *quota.Limit) quota.Outcome {
	t.Helper()
	a, _ := s.take(t, Charge(l, "a"))
	return a.Outcome
}

func (s *suite) tells(t *testing.T) {
	l := s.limit(quota.Window{Count: 10, Per: long / 2}, quota.Window{Count: 8, Per: long})
	for want := 7; want >= 0; want-- {
		a, charges := s.take(t, Charge(l, "a"))
		if c := charges[0]; a.Outcome != quota.Admitted || !c.Known || int(c.Left) != want || c.Tight != 1 {
			t.Fatalf("%+v: %d left of window %d; want %d of the second", a, c.Left, c.Tight, want)
		}
	}
	f := InFlight("flight", s.exact, 3)
	for want := 2; want >= 0; want-- {
		if _, charges := s.take(t, Charge(f, "a")); !charges[0].Known || int(charges[0].Left) != want {
			t.Fatalf("%d places left, want %d", charges[0].Left, want)
		}
	}
}

// lends: 20 calls of a window's own, and 10 lent.
func (s *suite) lends(t *testing.T) {
	l := s.limit(quota.Window{Count: 20, Per: long, Lend: 10}, quota.Window{Count: 25, Per: 2 * long, Lend: 50})
	take := func(lend bool) (quota.Outcome, bool) {
		c := Charge(l, "a")
		c.Lend = lend
		a, charges := s.take(t, c)
		return a.Outcome, charges[0].Lent
	}
	for n := range 20 {
		if o, _ := take(n%2 == 0); o != quota.Admitted {
			t.Fatalf("call %d of 20 is refused", n)
		}
	}
	if o, _ := take(false); o != quota.Exceeded {
		t.Fatalf("call 21 of 20 comes to %v, and nothing may be lent", o)
	}
	got, lent := 0, 0
	end := time.Now().Add(time.Minute)
	for more := 20; more > 0; { // also when all that may be is lent
		if got == 10 || time.Now().After(end) {
			more--
		}
		if o, is := take(true); o == quota.Admitted {
			got++
			if is {
				lent++
			}
		}
		if o, _ := take(false); o == quota.Admitted {
			t.Fatal("what was lent to others is used by who may not")
		}
		time.Sleep(10 * time.Millisecond) // what goes back, goes back by and by
	}
	if got != 10 || lent != 10 {
		t.Errorf("%d calls were lent, %d of them marked; 10 may be", got, lent)
	}
}
