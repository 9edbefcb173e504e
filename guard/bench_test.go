package guard_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// BenchmarkRun is the price of the chain itself: guards that say yes at once.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{0, 1, 10} {
		b.Run(strconv.Itoa(n)+"_guards", func(b *testing.B) {
			var members []guard.Member
			for i := range n {
				members = append(members, member("g"+strconv.Itoa(i), inspect(pass)))
			}
			h := host()
			h.Now = time.Now
			c := chain(b, h, members...)
			ctx, x, m := context.Background(), asking(b), call(b)
			b.ReportAllocs()
			for b.Loop() {
				if d := c.Run(ctx, x, m); d.Action != guard.Allow {
					b.Fatal(d)
				}
			}
		})
	}
}

// BenchmarkRefusal is the price of a no.
func BenchmarkRefusal(b *testing.B) {
	c := chain(b, host(), member("g", says(guard.Refuse(no, ""))))
	x := asking(b)
	d := c.Run(context.Background(), x, call(b))
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Refusal(x, &d)
	}
}
