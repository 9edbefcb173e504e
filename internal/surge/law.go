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
// Time goes in steps. A step ends when as many calls were answered as may be at the
// server, at the earliest after stepTime, and later if they do not agree. When the
// limit has changed it begins after the time of a call, so that what is seen is the
// limit of now; calls that began before the limit fell far do not count. (To count
// only calls that began in the step would be to count the quick ones.) Then
//
//   - a server that is slower by more than the tolerance, in two steps in a row,
//     gets less in proportion: limit × tolerated/observed, at least half. One step
//     may have been a pause of the machine;
//   - one that fails too often gets 0.7 of its limit;
//   - one that answers nothing for a step, while half of the calls it has are twice
//     as old as is tolerated, gets half, and has it back soon if that was a pause;
//   - any other, if somebody had to wait, is tried with all of its limit for a step,
//     and if it bears that, gets one call more, then two, four, ... at most an eighth
//     of the limit, or a sixteenth where several tenants are there; but near the limit at which it was
//     slow last, one at a time, after a wait that doubles with each attempt in vain.
//
// What is compared is the mean of each tenant's calls, as queueing shows in it
// however the calls share it, and of these the lower median: one tenant, of
// several, can make a server seem slow to itself only. A call counts as no slower
// than [most], so that a few slow ones by their arguments do not matter.
//
// If giving half did not help, or there is nothing left to take away, it is not our
// calls that make the server slow: what it takes now is what it takes. And if all
// tenants find it quicker than it was thought to be, it is.
type law struct {
	config *surge.Config
	limit  float64
	works  map[string]*work
	rest   work // of kinds for which there is no room

	step
	gain    float64       // of the next good step
	brink   float64       // the limit that was too much last; 0 when none is known
	hold    int           // good steps to go before the next attempt to pass it
	try     bool          // the next step is one
	holding int           // good steps that were waited before the last one
	doubt   bool          // the last step was slow
	hope    bool          // the last step was quicker than was thought
	strain  float64       // when it began; 0 when there is none
	relief  float64       // the limit below which strain is taken for the server's own
	since   time.Duration // calls that began before do not count
	latency time.Duration
	shrunk  uint64
}

// step is what was seen since the limit changed last.
type step struct {
	began   time.Duration // answers count from then on
	late    time.Duration // when answers were found to be overdue; 0 for not yet
	heard   bool          // the server has answered something, whether it counts or not
	seen    int
	failed  int
	wanted  bool // somebody had to wait
	trial   bool // all of the limit is lent, to find out whether the server bears it
	ratios  map[string]*sample
	started bool
}

const (
	stepTime  = 100 * time.Millisecond
	stepLong  = time.Second // after which few calls are enough
	leastSeen = 4
	mostSeen  = 200
	maxWorks  = 64
	maxSample = 64               // tenants
	jitter    = time.Millisecond // that says nothing
	maxHold   = 32
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
	l.heard = true
	if !l.counts(t, now) {
		return
	}
	l.note(t.call.Tenant, w.ratio(took, l.config.Tolerance))
	l.seen++
	l.turn(now)
}

func (l *law) counts(t *ticket, now time.Duration) bool {
	return now >= l.began && t.entered >= l.since
}

// leave takes in how a call ended.
func (l *law) leave(t *ticket, e surge.Ending, now time.Duration) {
	switch {
	case e == surge.Failed:
		if l.counts(t, now) {
			l.failed++
			if !t.quick {
				l.seen++
			}
		}
	case e == surge.Abandoned && !t.quick:
		// Whoever gave up would have waited longer still.
		w := l.work(t.call.Work)
		if r := w.ratio(now-t.entered, l.config.Tolerance); l.counts(t, now) && r > 2 {
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
	s.add(ratio)
}

// overdue takes in that a server answers nothing: that is no answer to wait for.
func (l *law) overdue(in []*ticket, now time.Duration) {
	if !l.started || now-l.began < stepTime || l.heard || len(in) == 0 || l.limit <= float64(l.config.Limit.Min) {
		return // with the least there is, answers are waited for
	}
	var ratios []float64
	for _, t := range in {
		switch {
		case t.entered < l.since: // it says nothing about the limit of now
		case t.quick:
			ratios = append(ratios, 0)
		default:
			ratios = append(ratios, l.work(t.call.Work).ratio(now-t.entered, l.config.Tolerance))
		}
	}
	slices.Sort(ratios)
	if n := len(ratios); n > 0 && ratios[n/2] > 2 {
		if l.late == 0 {
			l.late = now // a process that stood still finds all answers late, and reads them next
		}
		if now-l.late < stepTime/2 {
			return
		}
		l.gain = max(l.gain, l.limit/4) // should it have been a pause
		l.limit /= 2
		l.shrunk++
		l.bound()
		l.since = now
		l.step = step{began: now, started: true}
	}
}
