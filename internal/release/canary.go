package release

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

// Stage is one step of a new bundle on its way to everybody. Who is in one of
// Tenants, has one of Roles, or is among the Percent, is judged by it.
type Stage struct {
	Tenants, Roles []string
	Percent        int
	// The next stage begins when the bundle has made so many decisions and so
	// much time has passed; what is 0 asks for nothing.
	Decisions uint64
	For       time.Duration
}

// Bounds say when a new bundle is rejected by itself.
type Bounds struct {
	Disagreement float64 // share of compared decisions that come out otherwise
	Errors       float64 // share of the new bundle's evaluations that reach no answer
	After        uint64  // not before so many
}

// Progress counts what a candidate did in one stage.
type Progress struct {
	Decisions atomic.Uint64 // that the candidate made for callers
	Asked     atomic.Uint64 // evaluations of the candidate, to compare included
	Errors    atomic.Uint64 // of them without an answer
	Compared  atomic.Uint64
	Disagreed atomic.Uint64
}

// Split decides by the live policy, or for the callers of a stage by the
// candidate. One caller meets the same one always; in later stages with a larger
// percentage it goes on meeting the candidate.
type Split struct {
	Live, Candidate policy.Decider
	Stage           Stage
	Progress        *Progress

	// Compare, if set, is told of each decision, and whether the candidate made
	// it. It must not wait, and keeps nothing of in.
	Compare func(byCandidate bool, s policy.Step, in *policy.Input, got *policy.Decision, err error)
}

// For returns the decider that a caller meets.
func (s *Split) For(p *guard.Principal) policy.Decider {
	if s.Stage.has(p, s.Candidate.Revision()) {
		return s.Candidate
	}
	return s.Live
}

// Decide implements policy.Decider.
func (s *Split) Decide(ctx context.Context, step policy.Step, in *policy.Input) (*policy.Decision, error) {
	d := s.For(in.Principal)
	got, err := d.Decide(ctx, step, in)
	if d == s.Candidate {
		s.Progress.Decisions.Add(1)
		s.Progress.Asked.Add(1)
		if err != nil {
			s.Progress.Errors.Add(1)
		}
	}
	if s.Compare != nil {
		s.Compare(d == s.Candidate, step, in, got, err)
	}
	return got, err
}

// Masks reports whether either policy masks results.
func (s *Split) Masks() bool { return s.Live.Masks() || s.Candidate.Masks() }

// Revision names the live policy.
func (s *Split) Revision() string { return s.Live.Revision() }

func (g *Stage) has(p *guard.Principal, revision string) bool {
	if p.Tenant != "" && slices.Contains(g.Tenants, p.Tenant) {
		return true
	}
	for _, r := range g.Roles {
		if slices.Contains(p.Roles, r) || r == policy.RoleAnonymous && p.IsAnonymous() {
			return true
		}
	}
	return g.Percent > 0 && lot(p, revision) < uint64(g.Percent)
}

// lot draws a number below 100 for a caller, the same on every replica. Another
// revision draws anew, so that it is not always the same people who try.
func lot(p *guard.Principal, revision string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a, 64 bits
	h := uint64(offset)
	for _, s := range [...]string{revision, p.Issuer, p.Subject, p.Client, p.Peer, p.Tenant} {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(s)))
		for _, c := range size {
			h = (h ^ uint64(c)) * prime
		}
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
	}
	h ^= h >> 33 // its low bits alone are no good lots
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h % 100
}

// Step looks how the candidate is doing, and lets it go on to the next stage, or
// rejects it. It returns what happened, in words, or nothing.
func (k *Keeper) Step() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.state.Candidate
	if c == "" {
		return ""
	}
	p := k.progress
	asked, failed, compared, disagreed := p.Asked.Load(), p.Errors.Load(), p.Compared.Load(), p.Disagreed.Load()
	b, g := k.Bounds, &k.Stages[k.state.Stage]
	over := p.Decisions.Load() >= g.Decisions && k.Now().Sub(k.entered) >= g.For && (asked == 0 || compared > 0)
	switch { // at the end of a stage the shares count, however few there were
	case (over || asked >= b.After) && float64(failed) > b.Errors*float64(asked):
		why := fmt.Sprintf("%d of %d evaluations reached no answer", failed, asked)
		k.reject(c, why)
		k.said(DoReject, c, "")
		return c + " is rejected: " + why
	case (over || compared >= b.After) && float64(disagreed) > b.Disagreement*float64(compared):
		why := fmt.Sprintf("%d of %d decisions would come out otherwise", disagreed, compared)
		k.reject(c, why)
		k.said(DoReject, c, "")
		return c + " is rejected: " + why
	case !over:
		return ""
	}
	if k.state.Stage+1 == len(k.Stages) {
		k.live(c)
		k.touch()
		return c + " judges everybody now"
	}
	k.enter(k.state.Stage + 1)
	k.touch()
	return fmt.Sprintf("%s is in stage %d of %d", c, k.state.Stage+1, len(k.Stages))
}

// enter begins a stage of the candidate. The caller holds mu.
func (k *Keeper) enter(stage int) {
	k.state.Stage, k.entered, k.progress = stage, k.Now(), new(Progress)
}
