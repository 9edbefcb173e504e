package surge

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard/surge"
)

// law finds the limit. A server shows that it has too much to do by taking longer
// than it does for the same work with little to do. So the law keeps, for each
// kind of work, the time it takes then, and compares.
//
// Time goes in steps. A step ends when enough calls that began in it were
// answered, at the earliest after stepTime; calls that began earlier say nothing
// about the limit of now. Then
//
//   - a server that is slower by more than the tolerance gets less in proportion:
//     limit × tolerated/observed, at least half;
//   - one that fails too often gets 0.7 of its limit;
//   - one that answers nothing for a step, while half of the calls it has are twice
//     as old as is tolerated, gets half;
//   - any other gets one call more if somebody had to wait, then two, four, ... at
//     most a quarter of the limit, or two; but near the limit at which it was strained last,
//     one at a time.
//
// What is compared is the median of each tenant's calls, and of these the lower
// median: one tenant, of several, can make a server seem slow to itself only.
//
// If giving a quarter less, or half to one that is much slower, did not help, or there is nothing left to take away, it is not our
// calls that make the server slow: what it takes now is what it takes. And if all tenants find it much quicker than it
// was thought to be, it is.
type law struct {
	config *surge.Config
	limit  float64
	works  map[string]*work
	rest   work // of kinds for which there is no room

	step
	gain    float64 // of the next good step
	brink   float64 // the limit that was too much last; 0 when that is long ago
	calm    int     // good steps in a row
	strain  float64 // when it began; 0 when there is none
	relief  float64 // the limit below which strain is taken for the server's own
	latency time.Duration
	shrunk  uint64
}

// step is what was seen since the limit changed last.
type step struct {
	began   time.Duration
	seen    int
	failed  int
	wanted  bool // somebody had to wait
	ratios  map[string]*sample
	started bool
}

// work is a kind of calls.
type work struct {
	usual float64 // nanoseconds with little to do; 0 when not known
	seen  int
}

// sample is what one tenant saw in a step, at most a few.
type sample struct {
	ratios [16]float64
	n      int
}

const (
	stepTime  = 100 * time.Millisecond
	stepLong  = time.Second // after which few calls are enough
	stepCalls = 10
	maxWorks  = 64
	maxSample = 64               // tenants
	jitter    = time.Millisecond // that says nothing
)

func (l *law) configure(c *surge.Config) {
	if l.config == nil {
		l.limit, l.gain, l.works = float64(c.Limit.Start), 1, make(map[string]*work)
	}
	l.config = c
	l.bound()
}

func (l *law) bound() {
	l.limit = min(max(l.limit, float64(l.config.Limit.Min)), float64(l.config.Limit.Max))
}

func (l *law) calls() int { return int(l.limit) }

// usual is how long a call takes at the moment.
func (l *law) usual() time.Duration {
	if l.latency == 0 {
		return time.Second
	}
	return l.latency
}

// want notes that there was no room for somebody.
func (l *law) want() { l.wanted = true }

// observe takes in how long the first sign of a call took.
func (l *law) observe(t *ticket, now, took time.Duration) {
	if l.latency == 0 {
		l.latency = took
	}
	l.latency += (took - l.latency) / 16
	w := l.work(t.call.Work)
	w.learn(float64(took), t.beside <= max(l.config.Limit.Min, 1))
	if t.entered < l.began {
		return
	}
	l.note(t.call.Tenant, w.ratio(took, l.config.Tolerance))
	l.seen++
	l.turn(now)
}

// leave takes in how a call ended.
func (l *law) leave(t *ticket, e surge.Ending, now time.Duration) {
	switch {
	case e == surge.Failed:
		if t.entered >= l.began {
			l.failed++
			if !t.quick {
				l.seen++
			}
		}
	case e == surge.Abandoned && !t.quick:
		// Whoever gave up would have waited longer still.
		w := l.work(t.call.Work)
		if r := w.ratio(now-t.entered, l.config.Tolerance); t.entered >= l.began && r > 2 {
			l.note(t.call.Tenant, r)
			l.seen++
		}
	}
	l.turn(now)
}

func (l *law) work(name string) *work {
	if w := l.works[name]; w != nil {
		return w
	}
	if len(l.works) >= maxWorks {
		return &l.rest // names come from clients
	}
	w := new(work)
	l.works[strings.Clone(name)] = w
	return w
}

// learn follows the median of what calls take when there is little to do.
func (w *work) learn(took float64, calm bool) {
	switch {
	case w.usual == 0:
		w.usual = took
	case !calm:
		return
	}
	pace := 1.0 / 16
	if w.seen++; w.seen < 16 {
		pace = 1.0 / 4
	}
	if took > w.usual {
		w.usual *= 1 + pace
	} else {
		w.usual *= 1 - pace
	}
}

// ratio is how many times what is tolerated a call took.
func (w *work) ratio(took time.Duration, tolerance int) float64 {
	if w.usual == 0 {
		return 0
	}
	return float64(took) / (w.usual + max(w.usual*float64(tolerance)/100, float64(jitter)))
}

func (l *law) note(tenant string, ratio float64) {
	s := l.ratios[tenant]
	if s == nil {
		if l.ratios == nil {
			l.ratios = make(map[string]*sample)
		}
		if len(l.ratios) >= maxSample {
			return
		}
		s = new(sample)
		l.ratios[tenant] = s
	}
	s.ratios[s.n%len(s.ratios)] = ratio
	s.n++
}

// median of what a tenant saw.
func (s *sample) median() float64 {
	list := s.ratios
	have := list[:min(s.n, len(list))]
	slices.Sort(have)
	return have[len(have)/2]
}

// slowness is the lower median of what tenants saw, and the most.
func (l *law) slowness() (lower, most float64) {
	var list []float64
	for _, s := range l.ratios {
		list = append(list, s.median())
	}
	if len(list) == 0 {
		return 0, 0
	}
	slices.Sort(list)
	return list[(len(list)-1)/2], list[len(list)-1]
}

// overdue takes in that a server answers nothing: that is no answer to wait for.
func (l *law) overdue(in []*ticket, now time.Duration) {
	if !l.started || now-l.began < stepTime || l.seen > 0 || len(in) == 0 || l.limit <= float64(l.config.Limit.Min) {
		return // with the least there is, answers are waited for
	}
	ratios := make([]float64, len(in))
	for i, t := range in {
		if !t.quick {
			ratios[i] = l.work(t.call.Work).ratio(now-t.entered, l.config.Tolerance)
		}
	}
	slices.Sort(ratios)
	if slow := ratios[len(ratios)/2]; slow > 2 {
		l.less(0.5, slow)
		l.bound()
		l.step = step{began: now, started: true}
	}
}

// turn ends the step if it is time.
func (l *law) turn(now time.Duration) {
	if !l.started {
		l.step = step{began: now, started: true}
		return
	}
	age := now - l.began
	if age < stepTime || l.seen < min(stepCalls, max(3, l.calls())) && (age < stepLong || l.seen == 0) {
		return // of few calls at once, few answers are enough
	}
	slow, most := l.slowness()
	switch {
	case l.failed*100 > l.seen*l.config.Errors && l.failed >= 2:
		l.less(0.7, slow)
	case slow > 1:
		l.slow(slow)
	default:
		l.good(most)
	}
	l.bound()
	l.step = step{began: now, started: true}
}

// slow gives a slow server less, unless that has not helped.
func (l *law) slow(slow float64) {
	if l.limit <= float64(l.config.Limit.Min) || l.strain > 0 && l.limit <= l.relief && slow > 0.9*l.strain {
		l.rescale(slow)
		l.strain, l.gain, l.brink = 0, 1, 0
		return
	}
	l.less(max(0.5, 1/slow), slow)
}

// quicker is the part of what is tolerated below which a server is quicker than it
// was thought to be.
const quicker = 0.8

// good gives more if somebody wants it. most is the slowest that any tenant saw.
func (l *law) good(most float64) {
	l.strain = 0
	if l.calm++; l.calm > 100 {
		l.brink = 0
	}
	if most > 0 && most < quicker {
		l.rescale(most)
	}
	if !l.wanted {
		return
	}
	if l.brink > 0 && l.limit+l.gain > 0.8*l.brink {
		l.gain = 1
	}
	l.limit += l.gain
	l.gain = min(l.gain*2, max(2, l.limit/4))
}

// rescale makes what calls take now what they take; factor is how many times what
// was tolerated that is.
func (l *law) rescale(factor float64) {
	factor *= 1 + float64(l.config.Tolerance)/100
	for _, w := range l.works {
		w.usual *= factor
	}
	l.rest.usual *= factor
}

// less gives less.
func (l *law) less(factor, slow float64) {
	if slow > 1.2*l.strain {
		l.strain, l.relief = slow, l.limit*max(0.5, min(0.75, 1/slow))
	}
	l.brink = l.limit
	l.limit *= factor
	l.gain, l.calm = 1, 0
	l.shrunk++
}
