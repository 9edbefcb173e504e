package redis

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/integration/testenv"
)

// patience is how long a trip may take in tests of faults that show in nothing else.
const patience = 500 * time.Millisecond

func limitFor(name string, e quota.OnError) *quota.Limit {
	l := quotatest.Limit(name, true, quota.Window{Count: 6, Per: time.Hour})
	l.OnError = e
	return l
}

// fault is a way to lose Redis.
type fault struct {
	name   string
	breaks func(t *testing.T, r *testenv.Redis, p *testenv.Proxy)
	mend   func(t *testing.T, r *testenv.Redis, p *testenv.Proxy)
	says   string // the trouble does
	slow   bool   // it shows only in how long trips take
}

// timeout is how long a trip may take: on a busy machine, a good one takes its time.
func (f *fault) timeout() time.Duration {
	if f.slow {
		return patience
	}
	return 5 * time.Second
}

var faults = []fault{
	{"silence", func(_ *testing.T, _ *testenv.Redis, p *testenv.Proxy) { p.Silence(true) },
		func(_ *testing.T, _ *testenv.Redis, p *testenv.Proxy) { p.Silence(false); p.Reset(false) }, "", true},
	{"resets", func(_ *testing.T, _ *testenv.Redis, p *testenv.Proxy) { p.Reset(true) },
		func(_ *testing.T, _ *testenv.Redis, p *testenv.Proxy) { p.Reset(false) }, "", false},
	{"answers that are too late", func(_ *testing.T, _ *testenv.Redis, p *testenv.Proxy) { p.Delay(4 * patience) },
		func(_ *testing.T, _ *testenv.Redis, p *testenv.Proxy) { p.Delay(0) }, "", true},
	{"a crash", func(_ *testing.T, r *testenv.Redis, _ *testenv.Proxy) { r.Stop() },
		func(t *testing.T, r *testenv.Redis, _ *testenv.Proxy) { r.Start(t) }, "", false},
	{"no memory left", func(t *testing.T, r *testenv.Redis, _ *testenv.Proxy) {
		command(t, r, "config", "set", "maxmemory", "1")
	},
		func(t *testing.T, r *testenv.Redis, _ *testenv.Proxy) {
			command(t, r, "config", "set", "maxmemory", "0")
		}, "OOM", false},
}

// command is given to Redis directly.
func command(t *testing.T, r *testenv.Redis, args ...any) {
	t.Helper()
	c := connect(Options{Addresses: []string{r.Address}, Timeout: 5 * time.Second})
	defer c.Close()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatHappensWithoutRedis(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			p := testenv.StartProxy(t, r.Address)
			l := replica(t, Options{Addresses: []string{p.Address}, Timeout: f.timeout(), Prefix: "x"})
			deny, allow, local := limitFor("deny", quota.OnErrorDeny), limitFor("allow", quota.OnErrorAllow), limitFor("local", quota.OnErrorLocal)
			take := func(limit *quota.Limit) (a quota.Answer) {
				began := time.Now()
				a, err := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
				if took := time.Since(began); err != nil || took > time.Minute { // far less, but the machine may be busy
					t.Errorf("%v after %v", err, took)
				}
				return a
			}
			testenv.Eventually(t, time.Minute, "Redis is there", func() bool { return take(limitFor("warm", quota.OnErrorDeny)).Outcome != quota.Unavailable })
			before := l.Status().Opened
			f.breaks(t, r, p)
			testenv.Eventually(t, time.Minute, "the breaker opens", func() bool {
				if a := take(deny); a.Outcome == quota.Admitted {
					t.Error("admitted, though nobody counts")
				}
				return l.open() != nil
			})
			if a, known := l.TryTake([]quota.Charge{quotatest.Charge(deny, "a")}); !known || a.Outcome != quota.Unavailable || a.Cause == nil || !strings.Contains(a.Cause.Error(), f.says) {
				t.Errorf("deny: %+v, known without asking: %v", a, known)
			}
			for range 20 {
				if a := take(allow); a.Outcome != quota.Admitted || !a.Unshared {
					t.Errorf("allow: %+v", a)
				}
			}
			admitted := 0
			for range 20 {
				switch a := take(local); {
				case a.Outcome == quota.Admitted && a.Unshared:
					admitted++
				case a.Outcome != quota.Exceeded:
					t.Errorf("local: %+v", a)
				}
			}
			if admitted != 6 {
				t.Errorf("local: %d of 6", admitted)
			}
			charges := []quota.Charge{quotatest.Charge(allow, "a"), quotatest.Charge(deny, "a")}
			if a, _ := quotatest.Take(t.Context(), l, charges); a.Outcome != quota.Unavailable || charges[0].Held != quota.Nowhere {
				t.Errorf("allow and deny: %+v", a)
			}
			if s := l.Status(); s.Trouble == "" || s.Opened != before+1 || s.Unshared == 0 || s.Unavailable == 0 {
				t.Errorf("status: %+v", s)
			}
			f.mend(t, r, p)
			testenv.Eventually(t, time.Minute, "counting goes on", func() bool {
				return l.open() == nil && take(allow).Outcome != quota.Unavailable && l.Status().Trouble == ""
			})
		})
	}
}

// While Redis is away, calls do not wait for it one by one, and one probe at a
// time looks for it.
func TestNobodyRunsAgainstABrokenRedis(t *testing.T) {
	r := testenv.StartRedis(t)
	p := testenv.StartProxy(t, r.Address)
	l := replica(t, Options{Addresses: []string{p.Address}, Timeout: patience, Prefix: "x"})
	limit := limitFor("x", quota.OnErrorDeny)
	p.Silence(true)
	testenv.Eventually(t, time.Minute, "the breaker opens", func() bool {
		_, _ = quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
		return l.open() != nil
	})
	before := l.Status().Trips
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 100 {
				_, _ = quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
			}
		})
	}
	wg.Wait()
	if n := l.Status().Trips - before; n != 0 {
		t.Errorf("%d trips while Redis was known to be away", n)
	}
}

// Callers of one counter wait for one question, not each for his own.
func TestAHotKeyAsksOnce(t *testing.T) {
	r := testenv.StartRedis(t)
	p := testenv.StartProxy(t, r.Address)
	l := replica(t, Options{Addresses: []string{p.Address}, Prefix: "x"})
	limit := quotatest.Limit("x", false, quota.Window{Count: 1_000_000, Per: time.Hour})
	p.Delay(100 * time.Millisecond)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if !admitted(t, l, limit, "a") {
				t.Error("refused")
			}
		})
	}
	wg.Wait()
	if n := l.Status().Trips; n > 20 { // 1, 2, 4, 8, ... calls at a time
		t.Errorf("%d trips for 100 calls at once", n)
	}
}

func TestAWrongPasswordIsSaidAndNotShown(t *testing.T) {
	r := testenv.StartRedis(t, "--requirepass", "right-password")
	l := replica(t, Options{Addresses: []string{r.Address}, Password: "wrong-password"})
	limit := limitFor("x", quota.OnErrorDeny)
	testenv.Eventually(t, time.Minute, "the breaker opens", func() bool {
		a, _ := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
		return a.Outcome == quota.Unavailable && l.open() != nil
	})
	if why := l.Status().Trouble; !strings.Contains(why, "WRONGPASS") || strings.Contains(why, "wrong-password") {
		t.Errorf("trouble: %s", why)
	}
	good := replica(t, Options{Addresses: []string{r.Address}, Password: "right-password"})
	if !admitted(t, good, limit, "a") {
		t.Error("the right password does not help")
	}
}

// A local share is the limit divided by the replicas that were seen last.
func TestALocalShareIsOneOfSo(t *testing.T) {
	r := testenv.StartRedis(t)
	var replicas []*Limiter
	for range 3 {
		replicas = append(replicas, replica(t, Options{Addresses: []string{r.Address}, Prefix: "x"}))
	}
	testenv.Eventually(t, time.Minute, "they know each other", func() bool {
		for _, l := range replicas {
			if l.Status().Replicas != 3 {
				return false
			}
		}
		return true
	})
	r.Stop()
	limit := limitFor("x", quota.OnErrorLocal)
	n := 0
	for _, l := range replicas {
		for range 10 {
			if a, _ := quotatest.Take(context.Background(), l, []quota.Charge{quotatest.Charge(limit, "a")}); a.Outcome == quota.Admitted {
				n++
			}
		}
	}
	if n != 6 {
		t.Errorf("three replicas admitted %d of 6", n)
	}
}
