package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/integration/testenv"
)

// started runs a replica that can be stopped in good order, or killed.
func started(t *testing.T, o Options) (l *Limiter, stop, kill func()) {
	t.Helper()
	l = New(o, clock(), 1000)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return l, stop, func() {
		_ = l.client.Close() // nothing it would say any more arrives
		stop()
	}
}

func holds(t *testing.T, l *Limiter, limit *quota.Limit) bool {
	t.Helper()
	a, _ := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
	return a.Outcome == quota.Admitted
}

func TestPlacesInFlight(t *testing.T) {
	r := testenv.StartRedis(t)
	const hold = 3 * time.Second // of which a living one may sleep two thirds
	options := func(prefix string) Options {
		return Options{Addresses: []string{r.Address}, Prefix: prefix, Timeout: 5 * time.Second, HoldTime: hold}
	}
	t.Run("a killed replica gives them back", func(t *testing.T) {
		t.Parallel()
		limit := quotatest.InFlight("x", false, 3)
		one, _, kill := started(t, options("killed"))
		two, _, _ := started(t, options("killed"))
		for range 3 {
			if !holds(t, one, limit) {
				t.Fatal("refused")
			}
		}
		if holds(t, two, limit) {
			t.Fatal("a fourth is let in")
		}
		kill()
		testenv.Eventually(t, time.Minute, "its places are free", func() bool { return holds(t, two, limit) })
		for n := 2; n <= 4; n++ { // the first is taken
			if got := holds(t, two, limit); got != (n <= 3) {
				t.Errorf("of three that are free, place %d is had: %v", n, got)
			}
		}
	})
	t.Run("a living one keeps them as long as calls take", func(t *testing.T) {
		t.Parallel()
		limit := quotatest.InFlight("x", false, 2)
		one, _, _ := started(t, options("living"))
		two, _, _ := started(t, options("living"))
		for range 2 {
			if !holds(t, one, limit) {
				t.Fatal("refused")
			}
		}
		for end := time.Now().Add(2 * hold); time.Now().Before(end); time.Sleep(hold / 10) {
			if holds(t, two, limit) {
				t.Fatal("a third is let in")
			}
		}
	})
	t.Run("one that drains gives them back at once", func(t *testing.T) {
		t.Parallel()
		limit := quotatest.InFlight("x", false, 1)
		o := options("drained")
		o.HoldTime = time.Hour
		one, stop, _ := started(t, o)
		two, _, _ := started(t, o)
		if !holds(t, one, limit) {
			t.Fatal("refused")
		}
		stop()
		testenv.Eventually(t, time.Minute, "its place is free", func() bool { return holds(t, two, limit) })
	})
	t.Run("what is held unused is not kept from others", func(t *testing.T) {
		t.Parallel()
		limit := quotatest.InFlight("x", false, 100)
		limit.Lease.Time = time.Hour
		o := options("unused")
		o.HoldTime = time.Hour
		one, _, _ := started(t, o)
		two, _, _ := started(t, o)
		for range 50 {
			charges := []quota.Charge{quotatest.Charge(limit, "a")}
			if a, _ := quotatest.Take(t.Context(), one, charges); a.Outcome != quota.Admitted {
				t.Fatal("refused")
			}
			one.Return(charges)
		}
		if n := one.Status().Trips; n > 20 {
			t.Errorf("%d trips for 50 calls one after the other", n)
		}
		n := 0
		for holds(t, two, limit) {
			n++
		}
		if n < 85 { // an eighth may stay with the other
			t.Errorf("only %d of 100 are left for another replica", n)
		}
	})
}

// Four replicas, of which one dies and comes back: never more calls of living
// replicas at once than the limit, and no place is lost for good.
func TestReplicasNeverHoldMorePlacesThanThereAre(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	const replicas, most = 4, 6
	r := testenv.StartRedis(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	limit := quotatest.InFlight("x", false, most)
	o := Options{Addresses: []string{r.Address}, Prefix: "p" + strconv.FormatUint(seed, 10), Timeout: 5 * time.Second, HoldTime: 3 * time.Second}
	var in [replicas]atomic.Int64
	sum := func() (n int64) {
		for i := range in {
			n += in[i].Load()
		}
		return n
	}
	var calls atomic.Int64
	end := time.Now().Add(5 * time.Second)
	var wg sync.WaitGroup
	for n := range replicas {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for time.Now().Before(end) {
				life := time.Until(end)
				if n == 0 {
					life = min(life, time.Duration(300+random.IntN(700))*time.Millisecond)
				}
				l, stop, kill := started(t, o)
				dies := time.Now().Add(life)
				var working sync.WaitGroup
				for w := range 3 {
					random := rand.New(rand.NewPCG(random.Uint64(), uint64(w)))
					working.Go(func() {
						for time.Now().Before(dies) {
							charges := []quota.Charge{quotatest.Charge(limit, "a")}
							if a, err := quotatest.Take(t.Context(), l, charges); err != nil || a.Outcome != quota.Admitted {
								time.Sleep(time.Millisecond)
								continue
							}
							calls.Add(1)
							in[n].Add(1)
							if now := sum(); now > most {
								t.Errorf("%d calls at once", now)
							}
							time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
							in[n].Add(-1)
							if time.Now().Before(dies) || n != 0 {
								l.Return(charges)
							}
						}
					})
				}
				working.Wait()
				if n == 0 && random.IntN(2) == 0 {
					kill()
				} else {
					stop()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls", calls.Load())
	last, _, _ := started(t, o)
	testenv.Eventually(t, time.Minute, "every place is free", func() bool {
		var held [][]quota.Charge
		for range most {
			charges := []quota.Charge{quotatest.Charge(limit, "a")}
			if a, _ := quotatest.Take(t.Context(), last, charges); a.Outcome == quota.Admitted {
				held = append(held, charges)
			}
		}
		for _, c := range held {
			last.Return(c)
		}
		return len(held) == most
	})
}

// Bytes of several replicas are one sum, and what is spent while Redis is away is
// not for nothing.
func TestReplicasSpendTogether(t *testing.T) {
	r := testenv.StartRedis(t)
	o := Options{Addresses: []string{r.Address}, Prefix: "spend", Timeout: 5 * time.Second}
	limit := quotatest.Bytes("x", false, quota.Window{Count: 1000, Per: time.Hour})
	one, _, _ := started(t, o)
	two, _, _ := started(t, o)
	calls := 0
	testenv.Eventually(t, time.Minute, "they are used up", func() bool {
		for _, l := range []*Limiter{one, two} {
			charges := []quota.Charge{quotatest.Charge(limit, "a")}
			a, err := quotatest.Take(t.Context(), l, charges)
			if err != nil || a.Outcome == quota.Unavailable {
				t.Fatal(a, err)
			}
			if a.Outcome != quota.Admitted {
				return true
			}
			calls++
			l.Spend(charges, 99)
		}
		return false
	})
	// 10 calls of 100 units; those of a tenth of a second, and of leases, come on top.
	if calls < 10 || calls > 400 {
		t.Errorf("%d calls of 100 units in 1000", calls)
	}
	if n := one.Status().Lost + two.Status().Lost; n != 0 {
		t.Errorf("%d units are lost", n)
	}
	c := connect(o)
	defer c.Close()
	keys, err := c.Keys(t.Context(), "spend:quota:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	testenv.Eventually(t, time.Minute, "all of it is charged", func() bool {
		fields, err := c.HGetAll(t.Context(), keys[0]).Result()
		sum := 0
		for _, v := range fields {
			n, _ := strconv.Atoi(v)
			sum += n
		}
		return err == nil && sum >= calls*99
	})
	if ttl, err := c.PTTL(t.Context(), keys[0]).Result(); err != nil || ttl <= 0 || ttl > 2*time.Hour {
		t.Error(fmt.Sprint("it does not expire: ", ttl, err))
	}
}
