package loop

import (
	"math"
	"time"

	"github.com/sallyport/sallyport/internal/recent"
)

// Memory is what is known of calls that were made not long ago. A reload of the
// configuration does not touch it.
type Memory struct {
	rows  *recent.Table[row]
	rings *recent.Table[ring]
	fans  *recent.Table[fan]
}

// NewMemory returns a memory for at most most rows.
func NewMemory(most int) *Memory {
	return &Memory{recent.New[row](most), recent.New[ring](ringsOf(most)), recent.New[fan](ringsOf(most))}
}

// ringsOf is how many cycles are remembered beside rows, of which a caller has
// several.
func ringsOf(most int) int { return max(most/8, 500) }

// Bound changes how much is remembered.
func (m *Memory) Bound(most int) {
	m.rows.Bound(most)
	m.rings.Bound(ringsOf(most))
	m.fans.Bound(ringsOf(most))
}

// Len returns how many rows, cycles and callers of others are remembered.
func (m *Memory) Len() int { return m.rows.Len() + m.rings.Len() + m.fans.Len() }

// Forgotten returns how many made room for others.
func (m *Memory) Forgotten() uint64 {
	return m.rows.Forgotten() + m.rings.Forgotten() + m.fans.Forgotten()
}

// Event is one call that came to its end, as replicas tell it each other. Keys
// are digests; nothing of the call itself is in it.
type Event struct {
	Call         recent.Key // tool and arguments, of one caller
	Tool         recent.Key // of one caller
	Caller       recent.Key
	Conversation recent.Key // that several agents have part in; zero for none
	Agent        uint32     // tells the agents of a conversation apart
	Answer       uint64     // digest
	Failed       bool
	At           int64 // milliseconds since 1970
}

// Learn takes in an event. within is the longest pause inside of a row.
func (m *Memory) Learn(e *Event, within time.Duration) {
	pause := within.Milliseconds()
	m.rows.Do(e.Call, func(r *row) { r.add(e.At, e.Answer, pause) })
	if e.Failed {
		m.rows.Do(e.Tool, func(r *row) { r.add(e.At, 0, pause) })
	} else {
		m.rows.Look(e.Tool, func(r *row) { *r = row{} })
	}
	s := step{call: word(e.Call), answer: e.Answer, at: e.At, agent: e.Agent}
	m.rings.Do(e.Caller, func(r *ring) { r.add(s) })
	if e.Conversation != (recent.Key{}) {
		m.rings.Do(e.Conversation, func(r *ring) { r.add(s) })
	}
}

// row is calls in a row that got the same answer, or that failed.
type row struct {
	count       int32
	told        bool // somebody was told of it
	answer      uint64
	first, last int64
	squares     float64 // of the pauses, in milliseconds
}

func (r *row) add(at int64, answer uint64, pause int64) {
	at = max(at, r.last) // replicas' clocks differ
	if r.count == 0 || answer != r.answer || at-r.last > pause {
		*r = row{count: 1, answer: answer, first: at, last: at}
		return
	}
	d := float64(at - r.last)
	r.count, r.last, r.squares = r.count+1, at, r.squares+d*d
}

// length is how long the row is at a time.
func (r *row) length(now, pause int64) int {
	if now-r.last > pause {
		return 0
	}
	return int(r.count)
}

// unevenness is how much the pauses of a program that polls may differ, as the
// part of their mean that is their standard deviation. Models take their time,
// now more, now less.
const unevenness = 0.2

// polls reports whether the row, with one more call now, is that of a program
// which asks as evenly as a clock, and not often.
func (r *row) polls(now, least int64) bool {
	n := float64(r.count - 1)
	if n < 3 {
		return false
	}
	mean := float64(r.last-r.first) / n
	deviation := math.Sqrt(max(0, r.squares/n-mean*mean))
	return mean >= float64(least) && deviation <= unevenness*mean && float64(now-r.last) >= mean/2
}

const (
	maxPeriod = 6
	maxRounds = 10
	ringSize  = maxPeriod * maxRounds
)

// ring is the latest calls of one caller, or in one conversation.
type ring struct {
	steps []step // grows up to ringSize, and is a ring from then on
	next  int
	told  int64 // when somebody was told of a cycle
}

type step struct {
	call, answer uint64
	at           int64
	agent        uint32
}

func (r *ring) add(s step) {
	if len(r.steps) < ringSize {
		r.steps = append(r.steps, s)
		return
	}
	r.steps[r.next] = s
	r.next = (r.next + 1) % ringSize
}

// back returns the step i before the latest, which is 0.
func (r *ring) back(i int) *step {
	return &r.steps[(r.next+2*len(r.steps)-1-i)%len(r.steps)]
}

// cycle is what goes round.
type cycle struct {
	period, agents int
	since          int64
}

// cycle looks for calls that went round, after which call would be the next.
func (r *ring) cycle(call uint64, now int64, rounds int, pause, least int64) (cycle, bool) {
	n := len(r.steps)
	for period := 2; period <= maxPeriod; period++ {
		need := period * rounds
		if n < need || r.back(period-1).call != call || now-r.back(0).at > pause || r.repeats(period) {
			continue
		}
		if !r.periodic(period, need, pause) {
			continue
		}
		if r.even(period, need, now, float64(least)) {
			return cycle{}, false
		}
		c := cycle{period: period, since: r.back(need - 1).at}
		for i := range period {
			if c.agents++; i > 0 && r.agentBefore(i) {
				c.agents--
			}
		}
		return c, true
	}
	return cycle{}, false
}

// periodic reports whether the latest need steps repeat after period.
func (r *ring) periodic(period, need int, pause int64) bool {
	for i := range need {
		s := r.back(i)
		if i+period < need {
			if o := r.back(i + period); o.call != s.call || o.answer != s.answer {
				return false
			}
		}
		if i+1 < need && s.at-r.back(i+1).at > pause {
			return false
		}
	}
	return true
}

// even reports whether the latest need steps are those of a program that asks for
// several things in turn. Each pause is held against the same one of other
// rounds: over a whole round, a model's pauses would even out.
func (r *ring) even(period, need int, now int64, least float64) bool {
	rounds := need/period - 1 // of whole pauses; the one before the first step is not known
	around := float64(r.back(0).at-r.back(need-period).at) / float64(rounds)
	if around < least || float64(now-r.back(period-1).at) < around/2 {
		return false
	}
	var spread float64
	for phase := range period {
		var sum, squares float64
		for round := range rounds {
			i := phase + round*period
			d := float64(r.back(i).at - r.back(i+1).at)
			sum, squares = sum+d, squares+d*d
		}
		mean := sum / float64(rounds)
		spread += max(0, squares/float64(rounds)-mean*mean)
	}
	return math.Sqrt(spread/float64(period)) <= unevenness*around/float64(period)
}

// repeats reports whether the latest steps are one call only, which is a row and
// no cycle.
func (r *ring) repeats(period int) bool {
	for i := 1; i < period; i++ {
		if r.back(i).call != r.back(0).call {
			return false
		}
	}
	return true
}

// agentBefore reports whether the agent of step i made a later one.
func (r *ring) agentBefore(i int) bool {
	for k := range i {
		if r.back(k).agent == r.back(i).agent {
			return true
		}
	}
	return false
}

// fan counts the calls that one call caused, in two halves of the time in which
// they count.
type fan struct {
	half         int64 // when the current half began
	before, here int32
}

// add counts one more and returns how many there are.
func (f *fan) add(now, window int64) int {
	switch half := window / 2; {
	case now-f.half >= 2*half:
		*f = fan{half: now}
	case now-f.half >= half:
		f.half, f.before, f.here = f.half+half, f.here, 0
	}
	if f.here < math.MaxInt32 {
		f.here++
	}
	return int(f.before) + int(f.here)
}

func word(k recent.Key) uint64 {
	var w uint64
	for _, c := range k[:8] {
		w = w<<8 | uint64(c)
	}
	return w
}
