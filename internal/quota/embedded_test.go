package quota_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	guarded "github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/internal/quota"
)

func clock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

func TestEmbeddedIsALimiter(t *testing.T) {
	quotatest.Run(t, func(*testing.T) guarded.Limiter { return quota.NewEmbedded(clock(), 1000) })
}

// Nobody gets a fresh limit by making up names, not even when all room for keys
// is used up.
func TestMadeUpKeysShareOneLimitWhenThereIsNoRoom(t *testing.T) {
	e := quota.NewEmbedded(clock(), 10)
	l := quotatest.Limit("x", false, guarded.Window{Count: 5, Per: time.Hour})
	take := func(name string) bool {
		a, _ := e.TryTake([]guarded.Charge{quotatest.Charge(l, name)})
		return a.Outcome == guarded.Admitted
	}
	for i := range 10 {
		take(fmt.Sprint("known", i))
	}
	admitted := 0
	for i := range 100 {
		if take(fmt.Sprint("made up", i)) {
			admitted++
		}
	}
	if admitted != 5 || e.Keys() > 11 || e.Crowded() != 100 {
		t.Errorf("%d admitted in %d counters, %d in the crowd", admitted, e.Keys(), e.Crowded())
	}
	if !take("known3") {
		t.Error("a known key suffers from the made up ones")
	}
}

func TestOldKeysExpireAndYoungOnesStay(t *testing.T) {
	var now time.Duration
	e := quota.NewEmbedded(func() time.Duration { return now }, 1000)
	short := quotatest.Limit("x", false, guarded.Window{Count: 5, Per: time.Second})
	tall := quotatest.Limit("y", false, guarded.Window{Count: 1, Per: time.Second}, guarded.Window{Count: 1, Per: time.Hour})
	take := func(l *guarded.Limit) bool {
		a, _ := e.TryTake([]guarded.Charge{quotatest.Charge(l, "a")})
		return a.Outcome == guarded.Admitted
	}
	take(short)
	take(tall)
	now = 2 * time.Second
	e.Sweep()
	if e.Keys() != 1 {
		t.Fatalf("%d keys", e.Keys())
	}
	if take(tall) {
		t.Error("a counter was forgotten that still counts")
	}
	now = 3 * time.Hour
	e.Sweep()
	if e.Keys() != 0 {
		t.Errorf("%d keys", e.Keys())
	}
}

// Sweeping while others charge loses no call.
func TestSweepingLosesNothing(t *testing.T) {
	e := quota.NewEmbedded(clock(), 1000)
	l := quotatest.Limit("x", false, guarded.Window{Count: 1000, Per: time.Hour})
	stop := make(chan struct{})
	var swept sync.WaitGroup
	swept.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				e.Sweep()
			}
		}
	})
	var wg sync.WaitGroup
	admitted := make([]int, 4)
	for i := range admitted {
		wg.Go(func() {
			for n := range 2000 {
				if a, _ := e.TryTake([]guarded.Charge{quotatest.Charge(l, fmt.Sprint(n%5))}); a.Outcome == guarded.Admitted {
					admitted[i]++
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	swept.Wait()
	if n := admitted[0] + admitted[1] + admitted[2] + admitted[3]; n != 5*1000 {
		t.Errorf("%d admitted, want 5000", n)
	}
}

func BenchmarkEmbedded(b *testing.B) {
	e := quota.NewEmbedded(clock(), 100_000)
	l := quotatest.Limit("x", false, guarded.Window{Count: 1_000_000_000, Per: time.Second}, guarded.Window{Count: 1_000_000_000, Per: time.Hour})
	charges := []guarded.Charge{quotatest.Charge(l, "a")}
	b.ReportAllocs()
	for b.Loop() {
		if a, _ := e.TryTake(charges); a.Outcome != guarded.Admitted {
			b.Fatal(a)
		}
	}
}

// BenchmarkAMillionKeys reports the memory of one key of one window.
func BenchmarkAMillionKeys(b *testing.B) {
	l := quotatest.Limit("x", false, guarded.Window{Count: 1000, Per: time.Hour})
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		e := quota.NewEmbedded(clock(), 1_000_000)
		for i := range 1_000_000 {
			e.TryTake([]guarded.Charge{{Limit: l, Key: guarded.Key{byte(i), byte(i >> 8), byte(i >> 16)}}})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(e.Keys()), "B/key")
	}
}
