package quotatest

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

func (s *suite) count(t *testing.T) {
	for _, want := range []uint32{1, 7, 300} {
		if n, a := s.until(t, s.limit(quota.Window{Count: want, Per: long}), string(rune('a'+want))); n != int(want) || a.After <= 0 || a.After > long+long/10 {
			t.Errorf("limit %d: admitted %d, then room after %v", want, n, a.After)
		}
	}
}

func (s *suite) honest(t *testing.T) {
	const per = 2 * time.Second // in which a busy machine takes four times, too
	l := s.limit(quota.Window{Count: 3, Per: per})
	_, a := s.until(t, l, "a")
	if a.After > per+per/5 {
		t.Fatalf("room after %v", a.After)
	}
	time.Sleep(a.After + 20*time.Millisecond) // the limiter may count in whole milliseconds
	if a, _ := s.take(t, Charge(l, "a")); a.Outcome != quota.Admitted {
		t.Errorf("refused at the time that was named; now %v", a.After)
	}
}

func (s *suite) windows(t *testing.T) {
	l := s.limit(quota.Window{Count: 3, Per: 2 * time.Second}, quota.Window{Count: 5, Per: long})
	if n, _ := s.until(t, l, "a"); n != 3 {
		t.Fatalf("the short window admitted %d", n)
	}
	time.Sleep(2200 * time.Millisecond)
	if n, a := s.until(t, l, "a"); n != 2 || a.After < long/2 {
		t.Errorf("the long window admitted %d more, and names %v", n, a.After)
	}
}

func (s *suite) slides(t *testing.T) {
	const per, count = 500 * time.Millisecond, 10
	l := s.limit(quota.Window{Count: count, Per: per})
	var asked, times []time.Time // the call was admitted after asked and before times
	for end := time.Now().Add(4 * per); time.Now().Before(end); time.Sleep(3 * time.Millisecond) {
		before := time.Now()
		if a, _ := s.take(t, Charge(l, "a")); a.Outcome == quota.Admitted {
			asked, times = append(asked, before), append(times, time.Now())
		}
	}
	slack := 0 // what was held ready when the span began
	if !s.exact {
		slack = count / 8
	}
	for i := range asked {
		if j := i + count + slack; j < len(times) && times[j].Sub(asked[i]) < per {
			t.Fatalf("%d calls within %v", count+slack+1, times[j].Sub(asked[i]))
		}
	}
	if len(times) <= count {
		t.Errorf("only %d calls, though four windows have passed", len(times))
	}
}

func (s *suite) rename(t *testing.T) {
	short, tall := Limit("x", s.exact, quota.Window{Count: 5, Per: long}), Limit("y", s.exact, quota.Window{Count: 5, Per: long}, quota.Window{Count: 8, Per: 2 * long})
	s.until(t, short, "a")
	if n, _ := s.until(t, tall, "a"); n != 5 {
		t.Errorf("got %d", n)
	}
}
