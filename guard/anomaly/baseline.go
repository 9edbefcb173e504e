package anomaly

import (
	"math"
	"strconv"
)

// baseline is what is usual of a number: its mean and variance, of which what is
// new counts one part in slowness (an exponentially weighted average). At first
// it counts as in an ordinary average, so that the start is no bias.
type baseline struct {
	n              int32
	mean, variance float64
}

const slowness = 50

// Least deviations that are believed: of the logarithm of sizes and durations,
// and of calls in a minute.
const (
	leastLog  = 0.25 // about a quarter more or less
	leastRate = 2
)

// learn takes in a value. One that is far out counts as no more than far, so that
// a burst does not become usual at once, and a lasting change does in time.
// least is the smallest deviation that is believed.
func (b *baseline) learn(v, deviations, least float64) {
	if b.n > 10 {
		far := deviations * b.deviation(least)
		v = min(max(v, b.mean-far), b.mean+far)
	}
	if b.n < math.MaxInt32 {
		b.n++
	}
	weight := 1 / float64(min(b.n, slowness))
	d := v - b.mean
	b.mean += weight * d
	b.variance = (1 - weight) * (b.variance + weight*d*d)
}

// zeros takes in that nothing came, k times in a row.
func (b *baseline) zeros(k int64, deviations, least float64) {
	for range min(k, 4*slowness) { // after which the mean is as good as zero
		b.learn(0, deviations, least)
	}
}

// deviation is the standard deviation, at least least.
func (b *baseline) deviation(least float64) float64 { return max(math.Sqrt(b.variance), least, 1e-9) }

// beyond is by how many deviations v is above the usual; least is the smallest
// deviation that is believed.
func (b *baseline) beyond(v, least float64) float64 { return (v - b.mean) / b.deviation(least) }

// minutes counts what comes in each minute, against the minutes before.
type minutes struct {
	usual baseline
	at    int64 // the minute that is being counted
	count int32
}

// one counts one more in a minute, and returns how many that makes.
func (m *minutes) one(minute int64, deviations float64) float64 {
	switch {
	case m.at == 0:
		m.at = minute
	case minute > m.at:
		m.usual.learn(float64(m.count), deviations, m.least())
		m.usual.zeros(minute-m.at-1, deviations, leastRate)
		m.at, m.count = minute, 0
	}
	if m.count < math.MaxInt32 {
		m.count++
	}
	return float64(m.count)
}

// least is the smallest deviation that is believed: what comes by chance varies by
// the root of its number.
func (m *minutes) least() float64 { return max(leastRate, math.Sqrt(m.usual.mean)) }

// spending adds up what calls cost in each minute, against the minutes before, in
// millionths of a dollar.
type spending struct {
	usual baseline
	at    int64 // the minute that is being added up
	sum   float64
}

// add adds the cost of a call in a minute, and returns what that makes.
func (s *spending) add(minute int64, cost, deviations float64) float64 {
	switch {
	case s.at == 0:
		s.at = minute
	case minute > s.at:
		s.usual.learn(s.sum, deviations, s.least())
		s.usual.zeros(minute-s.at-1, deviations, leastSpent)
		s.at, s.sum = minute, 0
	}
	s.sum += cost
	return s.sum
}

// correct takes in that a call cost something else than it was thought to.
func (s *spending) correct(more float64) { s.sum = max(0, s.sum+more) }

// leastSpent is the least that spending in a minute is believed to vary: a cent.
const leastSpent = 10_000

// least is the smallest deviation that is believed: prices of calls differ by far
// more than their number.
func (s *spending) least() float64 { return max(leastSpent, s.usual.mean/2) }

func dollars(micro float64) string {
	return "$" + strconv.FormatFloat(max(0, micro)/1e6, 'f', 4, 64)
}

// failures remembers which of the last calls failed, and how many do usually.
type failures struct {
	last  uint16 // a bit per call
	usual float64
	n     int32
}

func (f *failures) learn(failed bool) {
	bit := uint16(0)
	if failed {
		bit = 1
	}
	gone := f.last >> 15 // what leaves the last ones becomes part of the usual
	f.last = f.last<<1 | bit
	if f.n < math.MaxInt32 {
		f.n++
	}
	if f.n > 16 {
		f.usual += (float64(gone) - f.usual) / float64(min(f.n-16, 4*slowness))
	}
}

// set is a few digests: all that there were, until it is full.
type set struct{ has []uint32 }

const setSize = 64

// add adds a digest, and reports whether it is new in a set that still knows all.
func (s *set) add(v uint32) (fresh bool) {
	for _, have := range s.has {
		if have == v {
			return false
		}
	}
	if len(s.has) >= setSize {
		return false // who uses this many has no usual ones
	}
	s.has = append(s.has, v)
	return true
}
