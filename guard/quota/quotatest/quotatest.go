// Package quotatest holds what every quota.Limiter must do.
package quotatest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// Run checks the limiters that fresh makes. It works in real time, with windows
// of less than a second.
func Run(t *testing.T, fresh func(t *testing.T) quota.Limiter) {
	for _, c := range []struct {
		name string
		do   func(s *suite, t *testing.T)
	}{
		{"a limit admits its count and no more", (*suite).count},
		{"the time that a refusal names is the time when there is room", (*suite).honest},
		{"every window of a limit counts", (*suite).windows},
		{"the boundary of a window cannot be used twice", (*suite).slides},
		{"what is refused by one counter is charged to none", (*suite).nothing},
		{"what is given back can be taken again", (*suite).back},
		{"what is given back twice counts once", (*suite).twice},
		{"what is given back late makes no room", (*suite).late},
		{"one key is not charged for another", (*suite).apart},
		{"limits of different lengths do not mix", (*suite).rename},
		{"many at once get the count and no more", (*suite).crowd},
		{"who has left is charged nothing, or gets an answer", (*suite).left},
		{"as many are in flight as the limit, and no more", (*suite).flight},
		{"a call in flight beside a rate is charged to both or to none", (*suite).mixed},
		{"many at once are never more in flight than the limit", (*suite).swarm},
		{"what was used is charged, and refuses until it is left behind", (*suite).spend},
		{"what is left is told", (*suite).tells},
		{"what is lent is for those who may have it, up to the ceiling", (*suite).lends},
	} {
		for _, exact := range []bool{false, true} {
			name := c.name
			if exact {
				name += ", exact"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c.do(&suite{Limiter: fresh(t), exact: exact}, t)
			})
		}
	}
}

type suite struct {
	quota.Limiter
	exact bool
}

// Limit returns a limit with these windows.
func Limit(name string, exact bool, windows ...quota.Window) *quota.Limit {
	return &quota.Limit{Name: name, Windows: windows, Exact: exact, Lease: quota.Lease{Max: 100, Time: windows[0].Per / 10}}
}

func (s *suite) limit(windows ...quota.Window) *quota.Limit {
	return Limit("test", s.exact, windows...)
}

// key returns a key for a name.
func key(name string) quota.Key {
	sum := sha256.Sum256([]byte(name))
	return quota.Key(sum[:16])
}

// Charge returns a claim on the counter of a name.
func Charge(l *quota.Limit, name string) quota.Charge {
	k := key(name + "/" + l.Name)
	group := key(name)
	return quota.Charge{Limit: l, Key: k, Group: binary.BigEndian.Uint64(group[:])}
}

// Take takes as the guard does.
func Take(ctx context.Context, l quota.Limiter, charges []quota.Charge) (quota.Answer, error) {
	if a, known := l.TryTake(charges); known {
		return a, nil
	}
	return l.Take(ctx, charges)
}

func (s *suite) take(t *testing.T, charges ...quota.Charge) (quota.Answer, []quota.Charge) {
	t.Helper()
	a, err := Take(t.Context(), s, charges)
	if err != nil || a.Outcome == quota.Unavailable {
		t.Fatalf("take: %v, %v", err, a.Cause)
	}
	return a, charges
}

// until takes one after the other until it is refused.
func (s *suite) until(t *testing.T, l *quota.Limit, name string) (admitted int, refusal quota.Answer) {
	t.Helper()
	for n := range 10_000 {
		if a, _ := s.take(t, Charge(l, name)); a.Outcome != quota.Admitted {
			return n, a
		}
	}
	t.Fatal("never refused")
	return 0, quota.Answer{}
}

const long = time.Hour

func (s *suite) count(t *testing.T) {
	for _, want := range []uint32{1, 7, 300} {
		if n, a := s.until(t, s.limit(quota.Window{Count: want, Per: long}), string(rune('a'+want))); n != int(want) || a.After <= 0 || a.After > long+long/10 {
			t.Errorf("limit %d: admitted %d, then room after %v", want, n, a.After)
		}
	}
}

func (s *suite) honest(t *testing.T) {
	l := s.limit(quota.Window{Count: 3, Per: 600 * time.Millisecond})
	_, a := s.until(t, l, "a")
	if a.After > 700*time.Millisecond {
		t.Fatalf("room after %v", a.After)
	}
	time.Sleep(a.After + 20*time.Millisecond) // the limiter may count in whole milliseconds
	if a, _ := s.take(t, Charge(l, "a")); a.Outcome != quota.Admitted {
		t.Errorf("refused at the time that was named; now %v", a.After)
	}
}

func (s *suite) windows(t *testing.T) {
	l := s.limit(quota.Window{Count: 3, Per: 400 * time.Millisecond}, quota.Window{Count: 5, Per: long})
	if n, _ := s.until(t, l, "a"); n != 3 {
		t.Fatalf("the short window admitted %d", n)
	}
	time.Sleep(500 * time.Millisecond)
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

// settled asks until something given back has arrived.
func (s *suite) settled(t *testing.T, l *quota.Limit, name string) bool {
	t.Helper()
	for range 100 {
		if a, _ := s.take(t, Charge(l, name)); a.Outcome == quota.Admitted {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
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
	l := s.limit(quota.Window{Count: 2, Per: 300 * time.Millisecond}, quota.Window{Count: 1000, Per: long})
	_, charges := s.take(t, Charge(l, "a"))
	time.Sleep(400 * time.Millisecond)
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

func (s *suite) rename(t *testing.T) {
	short, tall := Limit("x", s.exact, quota.Window{Count: 5, Per: long}), Limit("y", s.exact, quota.Window{Count: 5, Per: long}, quota.Window{Count: 8, Per: 2 * long})
	s.until(t, short, "a")
	if n, _ := s.until(t, tall, "a"); n != 5 {
		t.Errorf("got %d", n)
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

// InFlight returns a limit of calls in flight.
func InFlight(name string, exact bool, count uint32) *quota.Limit {
	return &quota.Limit{Name: name, Kind: quota.InFlight, Windows: []quota.Window{{Count: count}}, Exact: exact, Lease: quota.Lease{Max: 100, Time: 100 * time.Millisecond}}
}

// Bytes returns a limit of bytes, in units.
func Bytes(name string, exact bool, windows ...quota.Window) *quota.Limit {
	l := Limit(name, exact, windows...)
	l.Kind = quota.Bytes
	return l
}

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
			for range 100 {
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
	for range 50 {
		if a, charges := s.take(t, Charge(l, "a"), Charge(rate, "a")); a.Outcome == quota.Admitted {
			admitted++
			s.Return(charges[:1])
		}
		time.Sleep(5 * time.Millisecond)
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

func (s *suite) spend(t *testing.T) {
	const per = 400 * time.Millisecond
	l := Bytes("bytes", s.exact, quota.Window{Count: 100, Per: per})
	a, charges := s.take(t, Charge(l, "a"))
	if a.Outcome != quota.Admitted {
		t.Fatal(a)
	}
	s.Spend(charges, 500) // more than there is: the call had been let in
	refused := false
	for range 20 { // it arrives within a tenth of a second
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
	for range 30 {
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
