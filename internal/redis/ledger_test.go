package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/budget/budgettest"
	"github.com/sallyport/sallyport/integration/testenv"
)

// ledger is a replica that ends with t.
func ledger(t testing.TB, o Options) *Ledger {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Prefix == "" {
		o.Prefix = fmt.Sprintf("t%016x", rand.Uint64())
	}
	b := NewLedger(New(o, clock(), 1000), 1000)
	t.Cleanup(run2(b))
	return b
}

// run2 runs a ledger and its limiter, and returns what ends them as a gateway does.
func run2(b *Ledger) (stop func()) {
	counting, stopCounting := context.WithCancel(context.Background())
	keeping, stopKeeping := context.WithCancel(context.Background())
	counted, kept := make(chan struct{}), make(chan struct{})
	go func() { defer close(counted); b.l.Run(counting) }()
	go func() { defer close(kept); b.Run(keeping) }()
	return func() {
		stopKeeping()
		<-kept
		stopCounting()
		<-counted
	}
}

// told waits until Redis is known to have counted all that calls of an account used
// at these replicas.
func told(t *testing.T, account string, replicas ...*Ledger) {
	t.Helper()
	for _, b := range replicas {
		testenv.Eventually(t, time.Minute, "Redis is told of "+account, func() bool {
			n := b.accounts.Get([16]byte(budgettest.Key(account)))
			if n == nil {
				return false
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.spent == n.acked && n.promised == budget.Amounts{}
		})
	}
}

func TestRedisIsALedger(t *testing.T) {
	r := testenv.StartRedis(t)
	budgettest.Run(t, func(t *testing.T) budget.Ledger { return ledger(t, Options{Addresses: []string{r.Address}}) })
}

func TestAHotAccountNeedsFewTrips(t *testing.T) {
	b := ledger(t, Options{Addresses: []string{testenv.StartRedis(t).Address}})
	l := budgettest.Limit("x", false, budget.Amounts{budget.Most / 10, 1_000_000, 0, 0})
	l.Lease.Idle = time.Second
	const calls = 5000
	for range calls {
		claims := []budget.Claim{budgettest.Claim(l, "a", 10)}
		if a, err := budgettest.Reserve(t.Context(), b, claims); err != nil || a.Outcome != budget.Reserved {
			t.Fatalf("%+v, %v", a, err)
		}
		b.Settle(claims, budget.Amounts{9, 1, 0, 0})
	}
	if trips := b.tally.trips.Load(); trips > 20*calls/1000 {
		t.Errorf("%d trips for %d calls", trips, calls)
	} else {
		t.Logf("%d trips for %d calls", trips, calls)
	}
}

func BenchmarkReserveByALiveLease(b *testing.B) {
	led := ledger(b, Options{Addresses: []string{testenv.StartRedis(b).Address}})
	l := budgettest.Limit("x", false, budget.Amounts{budget.Most, budget.Most, 0, 0})
	l.Lease = budget.Lease{Calls: 10_000, Idle: time.Minute, Hold: time.Minute}
	claim := budgettest.Claim(l, "a", 1)
	b.ReportAllocs()
	for b.Loop() {
		claims := [1]budget.Claim{claim}
		if a, err := budgettest.Reserve(b.Context(), led, claims[:]); err != nil || a.Outcome != budget.Reserved {
			b.Fatal(a, err)
		}
		led.Settle(claims[:], claim.Amounts)
	}
	b.ReportMetric(float64(led.tally.trips.Load())*1000/float64(b.N), "trips/1000")
}

func BenchmarkReserveByATrip(b *testing.B) {
	led := ledger(b, Options{Addresses: []string{testenv.StartRedis(b).Address}})
	l := budgettest.Limit("x", true, budget.Amounts{budget.Most, budget.Most, 0, 0})
	claim := budgettest.Claim(l, "a", 1)
	b.ReportAllocs()
	for b.Loop() {
		claims := [1]budget.Claim{claim}
		if a, err := budgettest.Reserve(b.Context(), led, claims[:]); err != nil || a.Outcome != budget.Reserved {
			b.Fatal(a, err)
		}
		led.Settle(claims[:], claim.Amounts)
	}
}

// A Redis that comes back empty learns from the replicas what was used, so that
// its crash is nobody's present.
func TestARestartForgetsNothingThatReplicasRemember(t *testing.T) {
	r := testenv.StartRedis(t)
	o := Options{Addresses: []string{r.Address}, Timeout: 5 * time.Second, Prefix: "x"}
	one, two := ledger(t, o), ledger(t, o)
	l := budgettest.Limit("x", false, budget.Amounts{budget.Cost: 100})
	spend := func(b *Ledger, cost int64) budget.Answer {
		claims := []budget.Claim{budgettest.Claim(l, "a", cost)}
		a, err := budgettest.Reserve(t.Context(), b, claims)
		if err != nil {
			t.Fatal(err)
		}
		b.Settle(claims, claims[0].Amounts)
		return a
	}
	for _, b := range []*Ledger{one, two} {
		testenv.Eventually(t, time.Minute, "a call", func() bool { return spend(b, 40).Outcome == budget.Reserved })
	}
	told(t, "x/a", one, two)
	r.Stop()
	testenv.Eventually(t, time.Minute, "Redis is missed", func() bool { return spend(one, 5).Outcome == budget.Unavailable })
	r.Start(t)
	testenv.Eventually(t, time.Minute, "Redis is back", func() bool { return spend(one, 5).Outcome == budget.Reserved })
	claim := budgettest.Claim(l, "a", 0)
	testenv.Eventually(t, time.Minute, "Redis is told what it knew", func() bool {
		s, err := two.Read(t.Context(), &claim)
		return err == nil && s.Used[budget.Cost] >= 80
	})
	if a := spend(one, 30); a.Outcome == budget.Reserved {
		t.Error("80 of 100 were forgotten")
	}
	told(t, "x/a", one, two) // what was used before counts before
	if err := one.Reset(t.Context(), &claim); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "a reset is not undone by what replicas remember", func() bool { return spend(two, 90).Outcome == budget.Reserved })
}
