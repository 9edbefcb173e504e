package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/integration/testenv"
)

func clock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// replica runs a limiter until t ends. Each test has keys of its own.
func replica(t testing.TB, o Options) *Limiter {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = strings.NewReplacer("{", "", "}", "").Replace(t.Name())
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second // the machine may be busy; tests of faults set their own
	}
	l := New(o, clock(), 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l
}

func TestRedisIsALimiter(t *testing.T) {
	r := testenv.StartRedis(t)
	quotatest.Run(t, func(t *testing.T) quota.Limiter {
		return replica(t, Options{Addresses: []string{r.Address}})
	})
}

func admitted(t testing.TB, l quota.Limiter, limit *quota.Limit, name string) bool {
	t.Helper()
	a, err := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, name)})
	if err != nil || a.Outcome == quota.Unavailable {
		t.Fatalf("%v, %v", err, a.Cause)
	}
	return a.Outcome == quota.Admitted
}

func TestAHotKeyNeedsFewTrips(t *testing.T) {
	r := testenv.StartRedis(t)
	l := replica(t, Options{Addresses: []string{r.Address}})
	limit := quotatest.Limit("x", false, quota.Window{Count: 100_000, Per: time.Minute})
	limit.Lease.Time = 10 * time.Second
	for range 10_000 {
		if !admitted(t, l, limit, "a") {
			t.Fatal("refused")
		}
	}
	if n := l.counts.trips.Load(); n > 10*20 {
		t.Errorf("%d trips for 10000 calls", n)
	}
}

// Near the limit nothing is taken ahead, so replicas share what is left to the
// last call.
func TestReplicasShareALimitToTheLastCall(t *testing.T) {
	r := testenv.StartRedis(t)
	limit := quotatest.Limit("x", false, quota.Window{Count: 500, Per: time.Hour})
	limit.Lease.Time = 50 * time.Millisecond
	var replicas []*Limiter
	for range 3 {
		replicas = append(replicas, replica(t, Options{Addresses: []string{r.Address}}))
	}
	got := 0
	for end := time.Now().Add(time.Minute); got < 500 && time.Now().Before(end); {
		for _, l := range replicas {
			if admitted(t, l, limit, "a") {
				got++
			}
		}
	}
	time.Sleep(3 * tick)
	for _, l := range replicas {
		if admitted(t, l, limit, "a") {
			got++
		}
	}
	if got != 500 {
		t.Errorf("%d of 500", got)
	}
}

func TestWhatIsHeldGoesBackWhenAReplicaStops(t *testing.T) {
	r := testenv.StartRedis(t)
	limit := quotatest.Limit("x", false, quota.Window{Count: 1000, Per: time.Hour})
	limit.Lease.Time = time.Hour
	one := New(Options{Addresses: []string{r.Address}, Prefix: "x", Timeout: 5 * time.Second}, clock(), 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { one.Run(ctx) })
	for range 100 {
		admitted(t, one, limit, "a")
	}
	cancel()
	wg.Wait()
	two := replica(t, Options{Addresses: []string{r.Address}, Prefix: "x"})
	n := 0
	for admitted(t, two, limit, "a") {
		n++
	}
	if n != 900 {
		t.Errorf("900 calls are left, and %d were admitted", n)
	}
}

func TestLeasesGoBackInTime(t *testing.T) {
	r := testenv.StartRedis(t)
	limit := quotatest.Limit("x", false, quota.Window{Count: 1000, Per: time.Hour})
	limit.Lease.Time = 100 * time.Millisecond
	one, two := replica(t, Options{Addresses: []string{r.Address}, Prefix: "x"}), replica(t, Options{Addresses: []string{r.Address}, Prefix: "x"})
	for range 100 {
		admitted(t, one, limit, "a")
	}
	exact := *limit
	exact.Exact = true
	n := 0
	testenv.Eventually(t, time.Minute, "everything that is left can be used by the other", func() bool {
		for admitted(t, two, &exact, "a") {
			n++
		}
		return n == 900
	})
}

// Scripts can be flushed, and the clock of a server that takes over may be
// behind or ahead.
func TestAScriptFlushIsNotNoticed(t *testing.T) {
	r := testenv.StartRedis(t)
	l := replica(t, Options{Addresses: []string{r.Address}})
	limit := quotatest.Limit("x", true, quota.Window{Count: 3, Per: time.Hour})
	other := quotatest.Limit("y", true, quota.Window{Count: 30, Per: time.Hour})
	for i := range 5 {
		if err := l.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		charges := []quota.Charge{quotatest.Charge(limit, "a"), quotatest.Charge(other, "b")} // two groups, one trip
		a, err := quotatest.Take(t.Context(), l, charges)
		if err != nil || (a.Outcome == quota.Admitted) != (i < 3) {
			t.Errorf("call %d: %+v, %v", i, a, err)
		}
	}
	if l.open() != nil || l.counts.failures.Load() != 0 {
		t.Error("it counts as a failure")
	}
}

func TestCountsOfAFutureClockHeal(t *testing.T) {
	r := testenv.StartRedis(t)
	l := replica(t, Options{Addresses: []string{r.Address}})
	limit := quotatest.Limit("x", true, quota.Window{Count: 5, Per: 400 * time.Millisecond})
	c := quotatest.Charge(limit, "a")
	ahead := time.Now().Add(time.Hour).UnixMilli() / sliceMillis(400*time.Millisecond)
	if err := l.client.HSet(t.Context(), l.key(c.Group, c.Key), fmt.Sprintf("1:%d", ahead), 5).Err(); err != nil {
		t.Fatal(err)
	}
	if admitted(t, l, limit, "a") {
		t.Error("counts of the future are forgotten at once")
	}
	time.Sleep(600 * time.Millisecond)
	if !admitted(t, l, limit, "a") {
		t.Error("counts of the future last as long as the clock was wrong")
	}
}

func TestKeysExpireAndTellNobodysName(t *testing.T) {
	r := testenv.StartRedis(t)
	l := replica(t, Options{Addresses: []string{r.Address}, Prefix: "sp"})
	for _, per := range []time.Duration{time.Hour, 300 * time.Millisecond} {
		admitted(t, l, quotatest.Limit(per.String(), true, quota.Window{Count: 5, Per: per}), "ada@example.com")
	}
	var keys []string
	testenv.Eventually(t, time.Minute, "the key of the shorter expires", func() (gone bool) {
		var err error
		keys, err = l.client.Keys(t.Context(), "sp:quota:*").Result()
		return err == nil && len(keys) == 1
	})
	left, err := l.client.PTTL(t.Context(), keys[0]).Result()
	if err != nil || left < time.Minute || left > 2*time.Hour || strings.Contains(keys[0], "ada") {
		t.Errorf("%v, which ends in %v, %v", keys, left, err)
	}
}

func BenchmarkLiveLease(b *testing.B) {
	r := testenv.StartRedis(b)
	l := replica(b, Options{Addresses: []string{r.Address}, Prefix: "bench"})
	limit := quotatest.Limit("x", false, quota.Window{Count: 1_000_000_000, Per: time.Hour})
	limit.Lease = quota.Lease{Max: 100_000_000, Time: time.Hour}
	for range 200 {
		admitted(b, l, limit, "a")
	}
	n := l.lock(new(quotatest.Charge(limit, "a")))
	n.calls, n.until = 1<<31, time.Hour
	n.mu.Unlock()
	charges := []quota.Charge{quotatest.Charge(limit, "a")}
	b.ReportAllocs()
	for b.Loop() {
		charges[0].Held = quota.Nowhere
		if a, known := l.TryTake(charges); !known || a.Outcome != quota.Admitted {
			b.Fatal(a)
		}
	}
}

func BenchmarkTrip(b *testing.B) {
	r := testenv.StartRedis(b)
	l := replica(b, Options{Addresses: []string{r.Address}, Prefix: "bench"})
	limit := quotatest.Limit("x", true, quota.Window{Count: 1_000_000_000, Per: time.Second}, quota.Window{Count: 1_000_000_000, Per: time.Hour})
	for b.Loop() {
		admitted(b, l, limit, "a")
	}
}
