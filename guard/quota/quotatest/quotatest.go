// Package quotatest holds what every quota.Limiter must do.
package quotatest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// Run checks the limiters that fresh makes. It works in real time, with windows
// of two seconds at most.
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

// settled asks until something given back has arrived.
func (s *suite) settled(t *testing.T, l *quota.Limit, name string) bool {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if a, _ := s.take(t, Charge(l, name)); a.Outcome == quota.Admitted {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
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
