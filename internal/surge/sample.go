package surge

import (
	"math"
	"slices"
	"time"
)

// most is how many times what is tolerated a call counts as at most.
const most = 3

// work is a kind of calls.
type work struct {
	usual float64 // nanoseconds with little to do, on average; 0 when not known
	seen  int
}

// learn follows what calls take when there is little to do.
func (w *work) learn(took float64, calm bool) {
	switch {
	case w.usual == 0:
		w.usual = took
		return
	case !calm:
		return
	}
	if w.seen < 32 {
		w.seen++
	}
	// The first few are an ordinary average.
	w.usual += (min(took, most*w.usual) - w.usual) / float64(w.seen+1)
}

// ratio is how many times what is tolerated a call took.
func (w *work) ratio(took time.Duration, tolerance int) float64 {
	if w.usual == 0 {
		return 0
	}
	return float64(took) / (w.usual + max(w.usual*float64(tolerance)/100, float64(jitter)))
}

// sample is what one tenant saw in a step.
type sample struct {
	n           int
	sum, square float64     // of ratios, none above most
	last        [16]float64 // the latest, as they are
}

func (s *sample) add(ratio float64) {
	s.last[s.n%len(s.last)] = ratio
	s.n++
	ratio = min(ratio, most)
	s.sum += ratio
	s.square += ratio * ratio
}

// mean returns the mean, and by how much it may well be wrong by chance (two
// standard errors).
func (s *sample) mean() (mean, err float64) {
	n := float64(s.n)
	mean = s.sum / n
	variance := max(0, s.square/n-mean*mean) * n / max(1, n-1)
	return mean, 2 * math.Sqrt(max(variance, leastSpread*leastSpread)/n)
}

// leastSpread is the least that ratios are believed to differ; few calls may be
// alike by chance.
const leastSpread = 0.03

// median of the latest ratios.
func (s *sample) median() float64 {
	list := s.last
	have := list[:min(s.n, len(list))]
	slices.Sort(have)
	return have[len(have)/2]
}

// view is how slow a server is, in parts of what is tolerated: each the lower
// median over tenants, but for the last.
type view struct {
	low, mean, high float64 // the mean, and what it is at least and at most
	median          float64
	most            float64 // the highest that any tenant's mean may be
}

func (l *law) view() (v view) {
	var low, mean, high, median []float64
	for _, s := range l.ratios {
		m, err := s.mean()
		low, mean, high, median = append(low, m-err), append(mean, m), append(high, m+err), append(median, s.median())
		v.most = max(v.most, m+err)
	}
	v.low, v.mean, v.high, v.median = lowerMedian(low), lowerMedian(mean), lowerMedian(high), lowerMedian(median)
	return v
}

func lowerMedian(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[(len(list)-1)/2]
}
