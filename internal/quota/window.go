package quota

import (
	"math"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
)

// Slices is how finely a window slides. A call counts for a window and, at most,
// one slice more; so no span as long as a window ever holds more than its count.
const Slices = 20

// window counts the calls of one sliding window, in a ring of slices. Times are
// nanoseconds of a clock that does not go back.
type window struct {
	latest int64 // number of the newest slice
	sum    uint32
	calls  [Slices + 1]uint32
}

func slice(now int64, per time.Duration) int64 { return now / max(1, int64(per)/Slices) }

// slide forgets what the window has left behind.
func (w *window) slide(now int64, per time.Duration) {
	latest := slice(now, per)
	if latest-w.latest > Slices {
		*w = window{latest: latest}
		return
	}
	for w.latest < latest {
		w.latest++
		old := &w.calls[w.latest%(Slices+1)]
		w.sum -= *old
		*old = 0
	}
}

// free returns how long it takes until one of count calls is free; 0 when one is.
func (w *window) free(now int64, q quota.Window, count uint32) time.Duration {
	if w.sum < count {
		return 0
	}
	over := w.sum - count + 1
	for i := w.latest - Slices; i <= w.latest; i++ {
		if i < 0 {
			continue
		}
		if n := w.calls[i%(Slices+1)]; n < over {
			over -= n
			continue
		}
		return time.Duration((i+Slices+1)*max(1, int64(q.Per)/Slices) - now)
	}
	return q.Per
}

// add charges n, up to what a counter can hold.
func (w *window) add(n uint32) {
	n = min(n, math.MaxUint32-w.sum)
	w.calls[w.latest%(Slices+1)] += n
	w.sum += n
}

// remove takes back a call that was added at stamp, unless it is left behind.
func (w *window) remove(stamp int64, per time.Duration) {
	i := slice(stamp, per)
	if i < 0 || i > w.latest || w.latest-i > Slices {
		return
	}
	if n := &w.calls[i%(Slices+1)]; *n > 0 {
		*n--
		w.sum--
	}
}
