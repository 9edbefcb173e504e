package quota_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	guarded "github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/internal/quota"
)

// Whatever comes when, and whenever the server is idle: in no span is more admitted
// than the ceiling, and whoever may use nothing that is lent is admitted only while
// the span behind him holds less than the limit.
func TestWhatIsLentIsBounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count, lend := rapid.Uint32Range(1, 20).Draw(rt, "count"), rapid.Uint32Range(0, 20).Draw(rt, "lend")
		const per = time.Second
		l := quotatest.Limit("x", false, guarded.Window{Count: count, Per: per, Lend: lend})
		now := time.Hour
		e := quota.NewEmbedded(func() time.Duration { return now }, 1000)
		var made []time.Duration
		behind := func() (n uint32) {
			for _, at := range made {
				if now-at < per {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 120).Draw(rt, "pause")) * time.Millisecond
			c := quotatest.Charge(l, "a")
			c.Lend = rapid.Bool().Draw(rt, "idle")
			charges := []guarded.Charge{c}
			before := behind()
			a, known := e.TryTake(charges)
			if !known {
				rt.Fatal("it asks somebody")
			}
			if a.Outcome != guarded.Admitted {
				if before == 0 && len(made) == 0 {
					rt.Fatal("the first call is refused")
				}
				continue
			}
			most := count
			if c.Lend {
				most += lend
			}
			if before >= most {
				rt.Fatalf("%d calls in the span behind, and one more is admitted; the bound is %d", before, most)
			}
			if before >= count && !charges[0].Lent {
				rt.Fatalf("%d calls in the span behind of %d, and the next is not said to be lent", before, count)
			}
			if rapid.IntRange(0, 9).Draw(rt, "fate") == 0 {
				e.Return(charges)
				continue
			}
			made = append(made, now)
		}
	})
}
