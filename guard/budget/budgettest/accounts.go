package budgettest

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
)

func (s *suite) time(t *testing.T) {
	l := s.limit(budget.Amounts{})
	l.Time = 2 * time.Second
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome != budget.Reserved {
		t.Fatalf("%+v", a)
	}
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome != budget.Reserved {
		t.Fatalf("%+v", a)
	}
	time.Sleep(2200 * time.Millisecond)
	if a, _ := s.reserve(t, Claim(l, "a", 1)); a.Outcome != budget.Exhausted || a.Measure != budget.Time || a.After <= 0 {
		t.Errorf("after its time: %+v", a)
	}
	if a, _ := s.reserve(t, Claim(l, "b", 1)); a.Outcome != budget.Reserved {
		t.Errorf("another account: %+v", a)
	}
}

func (s *suite) life(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 3})
	l.Life = 3 * time.Second
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

func (s *suite) reset(t *testing.T) {
	l := s.limit(budget.Amounts{budget.Cost: 5})
	s.until(t, l, "a", 1)
	claim := Claim(l, "a", 0)
	if state := s.read(t, l, 5); state.Used[budget.Cost] != 5 {
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
	if state := s.read(t, l, 5); state.Max[budget.Cost] != 8 || state.Used[budget.Cost] != 5 {
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
