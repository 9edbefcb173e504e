package quotatest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

func (s *suite) flight(t *testing.T) {
	for _, most := range []int{1, 3, 40} {
		l, name := InFlight("flight", s.exact, uint32(most)), string(rune('a'+most))
		var held [][]quota.Charge
		for range most {
			a, charges := s.take(t, Charge(l, name))
			if a.Outcome != quota.Admitted {
				t.Fatalf("limit %d: %d are in flight, and one more is not let in", most, len(held))
			}
			held = append(held, charges)
		}
		if a, _ := s.take(t, Charge(l, name)); a.Outcome != quota.Exceeded || a.After <= 0 {
			t.Fatalf("limit %d: one more: %+v", most, a)
		}
		for range 3 { // one after the other has the place
			s.Return(held[0])
			s.Return(held[0]) // twice counts once
			ok := false
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				a, charges := s.take(t, Charge(l, name))
				if ok = a.Outcome == quota.Admitted; ok {
					held[0] = charges
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if !ok {
				t.Fatalf("limit %d: what was given back cannot be taken", most)
			}
			time.Sleep(30 * time.Millisecond)
			if a, _ := s.take(t, Charge(l, name)); a.Outcome != quota.Exceeded {
				t.Fatalf("limit %d: more came back than was given", most)
			}
		}
	}
}

func (s *suite) mixed(t *testing.T) {
	l, rate := InFlight("flight", s.exact, 1), s.limit(quota.Window{Count: 3, Per: long})
	_, first := s.take(t, Charge(l, "a"), Charge(rate, "a"))
	for range 5 {
		if a, _ := s.take(t, Charge(rate, "a"), Charge(l, "a")); a.Outcome != quota.Exceeded {
			t.Fatalf("%+v", a)
		}
	}
	s.Return(first[:1])
	admitted := 0
	try := func() {
		if a, charges := s.take(t, Charge(l, "a"), Charge(rate, "a")); a.Outcome == quota.Admitted {
			admitted++
			s.Return(charges[:1])
		}
		time.Sleep(5 * time.Millisecond)
	}
	for end := time.Now().Add(time.Minute); admitted < 2 && time.Now().Before(end); {
		try()
	}
	for range 50 {
		try()
	}
	if admitted != 2 {
		t.Errorf("%d more calls of a rate of 3", admitted)
	}
}

func (s *suite) swarm(t *testing.T) {
	const most = 7
	l := InFlight("flight", s.exact, most)
	var in, admitted atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 30 {
				charges := []quota.Charge{Charge(l, "a")}
				a, err := Take(t.Context(), s, charges)
				if err != nil || a.Outcome != quota.Admitted {
					time.Sleep(time.Millisecond)
					continue
				}
				admitted.Add(1)
				if n := in.Add(1); n > most {
					t.Errorf("%d in flight", n)
				}
				time.Sleep(200 * time.Microsecond)
				in.Add(-1)
				s.Return(charges)
			}
		})
	}
	wg.Wait()
	if admitted.Load() < most {
		t.Errorf("only %d were let in", admitted.Load())
	}
}
