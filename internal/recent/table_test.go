package recent_test

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/recent"
)

func key(i int) (k recent.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(i)*0x9e3779b97f4a7c15)
	return k
}

func TestWhoWasUsedLeastRecentlyIsForgotten(t *testing.T) {
	table := recent.New[int](640) // ten per part
	for i := range 1 << 16 {
		table.Do(key(i), func(v *int) { *v = i + 1 })
		table.Do(key(0), func(v *int) { // always in use
			if *v != 1 && i > 0 {
				t.Fatalf("after %d others it is %d", i, *v)
			}
		})
	}
	if n := table.Len(); n > 640 || n < 600 {
		t.Errorf("%d keys", n)
	}
	if n := table.Forgotten(); n < 1<<16-700 {
		t.Errorf("%d forgotten", n)
	}
	table.Look(key(1), func(*int) { t.Error("the second key is still there") })
	seen := 0
	table.Look(key(1<<16-1), func(v *int) { seen = *v })
	if seen != 1<<16 {
		t.Error("the last key is gone")
	}
}

func TestALowerBoundTakesEffect(t *testing.T) {
	table := recent.New[int](6400)
	for i := range 20000 {
		table.Do(key(i), func(*int) {})
	}
	table.Bound(640)
	for i := range 20000 {
		table.Do(key(-i), func(v *int) { *v = 1 })
	}
	if n := table.Len(); n > 640 {
		t.Errorf("%d keys", n)
	}
}

func TestManyUseATableAtOnce(t *testing.T) {
	table := recent.New[int](1000)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20000 {
				table.Do(key(i%(500*(g+1))), func(v *int) { *v++ })
				if i%1000 == 0 {
					table.Bound(500 + i%3*100)
					table.Len()
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDo(b *testing.B) {
	table := recent.New[[6]uint64](100_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Do(key(i%50_000), func(v *[6]uint64) { v[0]++ })
		i++
	}
}

// A million keys, of which a hundred thousand are kept.
func BenchmarkMillionKeys(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := recent.New[[6]uint64](100_000)
		for i := range 1_000_000 {
			table.Do(key(i), func(v *[6]uint64) { v[0]++ })
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(table.Len()), "B/key")
		b.ReportMetric(float64(table.Len()), "keys")
	}
}
