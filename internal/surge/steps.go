package surge

import (
	"time"
)

// turn ends the step if it is time.
func (l *law) turn(now time.Duration) {
	if !l.started {
		l.step = step{began: now, started: true}
		return
	}
	need := min(max(leastSeen, l.calls()), mostSeen)
	if age := now - l.began; age < stepTime || l.seen < need && (age < stepLong || l.seen < leastSeen) {
		return // of few calls at once, few answers are enough
	}
	v, was := l.view(), l.limit
	l.try = false
	switch {
	case l.failed*100 > l.seen*l.config.Errors && l.failed >= 2:
		l.less(0.7, v.mean)
	case v.low <= 1 && v.high >= 1 && l.seen < 4*need:
		return // they do not agree
	case v.low > 1 || v.mean > 1:
		l.slow(v)
	default:
		l.good(v)
	}
	l.bound()
	next := step{began: now, started: true, trial: l.try}
	if l.limit != was || l.try != l.trial || l.doubt {
		next.began += l.latency // and a pause has gone by
	}
	if l.limit < 0.8*was {
		l.since = now
	}
	l.step = next
}

// slow gives a slow server less, unless that has not helped.
func (l *law) slow(v view) {
	l.hope = false
	least := l.limit <= float64(l.config.Limit.Min)
	if !l.doubt && !least {
		l.doubt, l.try = true, l.trial
		return
	}
	if least || l.strain > 0 && l.limit <= l.relief && v.mean > 0.8*l.strain {
		l.rescale(max(v.mean, v.median)) // which is the mean, unless most calls are slower than they count
		l.strain, l.gain, l.brink, l.doubt, l.try = 0, 1, 0, false, true
		return
	}
	l.less(max(0.5, 1/v.mean), v.mean)
}

// quicker is the part of what is tolerated below which a server is quicker than it
// was thought to be.
const quicker = 0.9

// good gives more if somebody wants it.
func (l *law) good(v view) {
	l.strain, l.doubt = 0, false
	switch {
	case v.most == 0 || v.most >= quicker:
		l.hope = false
	case l.hope:
		l.rescale(v.most)
		l.hope, l.brink = false, 0
	default:
		l.hope = true
	}
	if !l.wanted {
		return
	}
	switch {
	case l.brink == 0 || l.limit+l.gain < 0.8*l.brink:
	case l.limit > 1.25*l.brink: // it can bear more than it could
		l.brink, l.holding = 0, 0
	default:
		if l.gain = 1; l.hold > 0 {
			l.hold--
			return
		}
	}
	l.try = true
	if !l.trial { // it bears what is lent; whether it bears the limit is not known
		return
	}
	l.limit += l.gain
	most := max(2, l.limit/8)
	if len(l.ratios) > 1 {
		most = max(1, l.limit/16) // others would feel what is too much
	}
	l.gain = min(l.gain*2, most)
}

// rescale makes what calls take now what they take; factor is how many times what
// was tolerated that is.
func (l *law) rescale(factor float64) {
	if factor <= 0 {
		return
	}
	factor *= 1 + float64(l.config.Tolerance)/100
	for _, w := range l.works {
		w.usual *= factor
	}
	l.rest.usual *= factor
}

// less gives less.
func (l *law) less(factor, slow float64) {
	if slow > 1.2*l.strain {
		if l.strain == 0 { // once for each time that it is too much
			if near := l.brink > 0 && l.limit > 0.8*l.brink && l.limit < 1.25*l.brink; near {
				l.holding = min(2*l.holding+1, maxHold)
			} else {
				l.holding = 1
			}
			l.hold, l.brink = l.holding, l.limit
		}
		l.strain, l.relief = slow, l.limit/2
	}
	l.limit *= factor
	l.gain = 1
	l.shrunk++
}
