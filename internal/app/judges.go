package app

import (
	"sync"

	"github.com/sallyport/sallyport/internal/gate"
)

// judges remembers what judged under which of Envoy's configurations, so that a
// configuration that Envoy rejects is taken back on both sides.
type judges struct {
	holder *gate.Holder

	mu       sync.Mutex
	wanted   *build   // offered last
	current  *build   // what judges
	previous []*build // oldest first
	rejected string   // version that Envoy rejected last
	good     string   // version that took its place
}

// kept is how many former configurations a revert can reach.
const kept = 8

// swap makes b what judges. undo takes that back, when b could not be offered
// to Envoy.
func (j *judges) swap(b *build) (undo func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before, wanted, rejected := j.current, j.wanted, j.rejected
	if before != nil {
		j.previous = append(j.previous, before)
		if len(j.previous) > kept {
			j.previous = j.previous[1:]
		}
	}
	j.wanted, j.rejected = b, ""
	j.set(b)
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.wanted = wanted
		if before == nil {
			return
		}
		if j.rejected == "" {
			j.rejected = rejected
		}
		j.set(before)
		if before.version == j.rejected { // meanwhile
			j.back()
		}
	}
}

// revert is called when Envoy rejected a configuration, and another serves
// again. What was offered after the rejected one is on its way to Envoy and
// goes on judging.
func (j *judges) revert(rejected, good string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rejected, j.good = rejected, good
	if j.current != nil && j.current.version == rejected {
		j.back()
	}
}

// back makes what judged under the good version judge again. The caller holds
// mu.
func (j *judges) back() {
	for i := len(j.previous) - 1; i >= 0; i-- {
		if b := j.previous[i]; b.version == j.good {
			j.set(b)
			return
		}
	}
}

// set makes b judge. The caller holds mu.
func (j *judges) set(b *build) {
	j.current = b
	j.holder.Swap(b.snapshot)
}

// inForce returns the configuration that judges, and with what.
func (j *judges) inForce() (*build, *gate.Snapshot) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.current, j.current.snapshot
}

// renew makes s judge under the configuration of, which has not changed for
// Envoy. If another one came into force meanwhile, nothing happens.
func (j *judges) renew(of *build, s *gate.Snapshot) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current == of {
		of.snapshot = s
		j.holder.Swap(s)
	}
}

// newest returns what was offered last, and what judges with it.
func (j *judges) newest() (*build, *gate.Snapshot) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.wanted, j.wanted.snapshot
}

// refused returns the version that Envoy rejected, if that is what the files
// say now.
func (j *judges) refused() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wanted == nil || j.wanted.version != j.rejected {
		return ""
	}
	return j.rejected
}
