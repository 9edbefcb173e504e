package memo

import (
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
)

// Decisions are decisions that are used again. They are safe for concurrent use.
type Decisions struct {
	table  *Table[policy.Decision]
	ttl    int64
	counts *Counts
}

// Counts outlive the decisions of one policy where several policies share them.
type Counts struct{ hits, evaluations, uncacheable, failures, timeouts, age, oldest atomic.Uint64 }

// NewDecisions returns room for a number of decisions, each of which is used
// for ttl; 0 means never again. What happens is added to counts, which may be nil.
func NewDecisions(places int, ttl time.Duration, counts *Counts) *Decisions {
	if counts == nil {
		counts = new(Counts)
	}
	if ttl <= 0 {
		places = 1
	}
	return &Decisions{table: NewTable[policy.Decision](places), ttl: int64(ttl), counts: counts}
}

// On reports whether any decision is used again.
func (d *Decisions) On() bool { return d.ttl > 0 }

// Places returns how many decisions there is room for.
func (d *Decisions) Places() int { return len(d.table.slots) }

// Get returns the decision of a key, or nil.
func (d *Decisions) Get(key []byte, now time.Time) *policy.Decision {
	v, until := d.table.Get(key, now.UnixNano())
	if v == nil {
		return nil
	}
	age := uint64(max(0, now.UnixNano()-(until-d.ttl)))
	c := d.counts
	c.hits.Add(1)
	c.age.Add(age / uint64(time.Microsecond)) // in nanoseconds the sum would overflow in busy weeks
	for {
		old := c.oldest.Load()
		if age <= old || c.oldest.CompareAndSwap(old, age) {
			return v
		}
	}
}

// Put keeps a decision that was made at now.
func (d *Decisions) Put(key []byte, now time.Time, v *policy.Decision) {
	d.table.Put(key, now.UnixNano()+d.ttl, v)
}

// Evaluated counts a question that was not answered from here.
func (d *Decisions) Evaluated() { d.counts.evaluations.Add(1) }

// Uncacheable counts an answer that is good for its question alone.
func (d *Decisions) Uncacheable() { d.counts.uncacheable.Add(1) }

// Failed counts a question that the policy could not answer.
func (d *Decisions) Failed() { d.counts.failures.Add(1) }

// TimedOut counts a question that the policy did not answer in time.
func (d *Decisions) TimedOut() { d.counts.timeouts.Add(1) }

// Stats says how a policy is doing. The ages are those of decisions when they
// were used again: the staleness that callers met.
type Stats struct {
	Hits        uint64  `json:"cache_hits"`
	Evaluations uint64  `json:"evaluations"`
	Uncacheable uint64  `json:"uncacheable"` // evaluations that read what belongs to one call alone
	Failures    uint64  `json:"failures"`
	Timeouts    uint64  `json:"timeouts"`
	HitRate     float64 `json:"cache_hit_rate"`            // of all questions
	AgeTotal    float64 `json:"cache_age_seconds_total"`   // of all hits
	AgeMean     float64 `json:"cache_age_seconds_mean"`    // of a hit
	AgeMax      float64 `json:"cache_age_seconds_maximum"` // of any hit so far
}

// Stats returns the counts so far.
func (d *Decisions) Stats() Stats { return d.counts.Stats() }

// Stats returns the counts so far.
func (c *Counts) Stats() Stats {
	s := Stats{
		Hits: c.hits.Load(), Evaluations: c.evaluations.Load(), Uncacheable: c.uncacheable.Load(), Failures: c.failures.Load(), Timeouts: c.timeouts.Load(),
		AgeTotal: float64(c.age.Load()) / 1e6, AgeMax: float64(c.oldest.Load()) / 1e9,
	}
	if all := s.Hits + s.Evaluations; all > 0 {
		s.HitRate = float64(s.Hits) / float64(all)
	}
	if s.Hits > 0 {
		s.AgeMean = s.AgeTotal / float64(s.Hits)
	}
	return s
}
