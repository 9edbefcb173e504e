package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/integration/testenv"
)

// span is when a call was admitted: after from and before to.
type span struct {
	from, to time.Time
	own      bool // it could use nothing that is lent
}

// TestReplicasNeverExceedTheBound has four replicas take and give back at random,
// die and come back, and looks at every span as long as a window.
func TestReplicasNeverExceedTheBound(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	const replicas, workers = 4, 3
	r := testenv.StartRedis(t)
	for _, exact := range []bool{false, true} {
		t.Run(fmt.Sprint("exact ", exact), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			short, long := quota.Window{Count: 40, Per: 500 * time.Millisecond}, quota.Window{Count: 150, Per: 3 * time.Second}
			if !exact { // which lends nothing
				short.Lend, long.Lend = 10, 30
			}
			limit := quotatest.Limit("x", exact, short, long)
			other := quotatest.Limit("y", exact, quota.Window{Count: 60, Per: time.Second}) // refuses, too
			prefix := fmt.Sprintf("p%d", seed)
			var mu sync.Mutex
			made := make(map[string][]span)
			var wg sync.WaitGroup
			end := time.Now().Add(7 * time.Second)
			for n := range replicas {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(n)))
					for time.Now().Before(end) {
						life := time.Until(end)
						if n == 0 {
							life = min(life, time.Duration(500+random.IntN(1000))*time.Millisecond)
						}
						l := New(Options{Addresses: []string{r.Address}, Prefix: prefix, Timeout: 30 * time.Second}, clock(), 1000)
						ctx, cancel := context.WithCancel(context.Background())
						var running sync.WaitGroup
						running.Go(func() { l.Run(ctx) })
						var working sync.WaitGroup
						dies := time.Now().Add(life)
						for w := range workers {
							random := rand.New(rand.NewPCG(random.Uint64(), uint64(w)))
							working.Go(func() {
								for time.Now().Before(dies) {
									who := fmt.Sprint(random.IntN(2))
									charges := []quota.Charge{quotatest.Charge(limit, who)}
									idle := !exact && (time.Now().UnixMilli()/300)%2 == 0
									charges[0].Lend = idle
									if random.IntN(3) == 0 {
										charges = append(charges, quotatest.Charge(other, "all"))
									}
									from := time.Now()
									a, err := quotatest.Take(t.Context(), l, charges)
									if err != nil || a.Outcome == quota.Unavailable {
										t.Errorf("%+v, %v", a, err)
										return
									}
									to := time.Now()
									switch {
									case a.Outcome != quota.Admitted:
									case random.IntN(5) == 0: // it did not reach its server
										l.Return(charges)
									default:
										mu.Lock()
										made[who] = append(made[who], span{from, to, !idle})
										mu.Unlock()
									}
									time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
								}
							})
						}
						working.Wait()
						if n == 0 && random.IntN(2) == 0 {
							_ = l.client.Close() // a crash: nothing goes back
						}
						cancel()
						running.Wait()
					}
				})
			}
			wg.Wait()
			for who, spans := range made {
				slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
				for _, w := range limit.Windows {
					bound := int(w.Most(!exact))
					if !exact { // what is held ready when a span begins
						bound += replicas * max(1, bound/8)
					}
					if n := most(unlent(spans), w.Per); n > int(w.Count)+bound-int(w.Most(!exact)) {
						t.Errorf("%s: %d calls within %v that nothing was lent to; the limit is %d", who, n, w.Per, w.Count)
					}
					if n := most(spans, w.Per); n > bound {
						t.Errorf("%s: %d calls within %v; the bound is %d", who, n, w.Per, bound)
					} else {
						t.Logf("%s: at most %d of %d within %v, the bound is %d; %d in all", who, n, w.Count, w.Per, bound, len(spans))
					}
				}
			}
		})
	}
}

// unlent returns those that could use nothing that is lent.
func unlent(spans []span) (out []span) {
	for _, s := range spans {
		if s.own {
			out = append(out, s)
		}
	}
	return out
}

// most returns the most calls that were surely made within one span of per.
func most(spans []span, per time.Duration) int {
	best := 0
	for i := range spans {
		n := 0
		for j := i; j < len(spans) && spans[j].from.Sub(spans[i].from) < per; j++ {
			if spans[j].to.Sub(spans[i].from) < per {
				n++
			}
		}
		best = max(best, n)
	}
	return best
}
