package release

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// Rollback makes an earlier bundle judge, and holds the keeper to it: what is
// offered is not taken until it has a newer version than what was rolled back,
// or [Keeper.Release] is called. An empty revision means the candidate's end, if
// there is one, else the bundle that was taken before the one that judges. Any
// other names a kept bundle: its revision, or as much of the beginning as no
// other has.
func (k *Keeper) Rollback(to string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	from := k.state.Live
	switch {
	case from == "":
		return "", errors.New("release: rollback: nothing judges yet")
	case to == "" && k.state.Candidate != "":
		gone := k.state.Candidate
		k.reject(gone, "rolled back")
		k.state.Pin = &Pin{From: gone, At: k.Now()}
		k.said(DoRollback, from, gone)
		return from, nil
	}
	target, err := k.target(to)
	if err != nil {
		return "", err
	}
	if k.state.Candidate != "" {
		k.reject(k.state.Candidate, "rolled back")
	}
	if k.state.Pin != nil && newer(k.state.Pin.From, from) {
		from = k.state.Pin.From // of two rollbacks in a row the newest version counts
	}
	k.live(target.Revision)
	k.state.Pin = &Pin{From: from, At: k.Now()}
	k.said(DoRollback, target.Revision, from)
	k.hold()
	k.touch()
	return target.Revision, nil
}

// target finds what to roll back to. The caller holds mu.
func (k *Keeper) target(to string) (*Kept, error) {
	var found *Kept
	for i := range k.state.Kept {
		one := &k.state.Kept[i]
		switch {
		case to == "":
			if one.Revision == k.state.Live {
				if found == nil {
					return nil, errors.New("release: rollback: no earlier bundle is kept")
				}
				return found, nil
			}
			if one.Revision != k.state.Candidate && !k.rejected(one.Revision) {
				found = one
			}
		case one.Revision == to:
			found = one
		case strings.HasPrefix(one.Revision, to) && !k.exactly(to):
			if found != nil {
				return nil, fmt.Errorf("release: rollback: %q begins more than one kept revision", to)
			}
			found = one
		}
	}
	switch {
	case found == nil || to == "":
		return nil, fmt.Errorf("release: rollback: no kept bundle is called %q", to)
	case found.Revision == k.state.Live:
		return nil, fmt.Errorf("release: rollback: %s judges already", found.Revision)
	}
	return found, nil
}

func (k *Keeper) exactly(revision string) bool { return k.find(revision) != nil }

func (k *Keeper) rejected(revision string) bool {
	for _, r := range k.state.Rejected {
		if r.Revision == revision {
			return true
		}
	}
	return false
}

// reject takes a candidate out for good. The caller holds mu.
func (k *Keeper) reject(revision, why string) {
	if !k.rejected(revision) {
		k.state.Rejected = append(k.state.Rejected, Rejected{revision, why, k.Now()})
		if n := len(k.state.Rejected) - 32; n > 0 {
			k.state.Rejected = k.state.Rejected[n:]
		}
	}
	if k.state.Candidate == revision {
		k.leave()
	}
	if k.state.Offered == revision {
		k.err = &Held{revision, "was rejected: " + why}
	}
	k.touch()
}

// Release ends what a rollback, a rejection or a low version holds back, and
// takes what the source offered last. It returns the revision that is live, or on its way.
func (k *Keeper) Release() (string, error) {
	k.mu.Lock()
	archive := k.offered
	k.state.Pin, k.state.Rejected, k.state.Newest = nil, nil, ""
	k.said(DoRelease, k.state.Offered, "")
	k.touch()
	k.mu.Unlock()
	if archive != nil {
		b, err := k.open(archive)
		k.mu.Lock()
		if err == nil {
			err = k.take(b, archive)
		}
		k.err = err
		k.touch()
		k.mu.Unlock()
		if err != nil {
			return "", err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.Candidate != "" {
		return k.state.Candidate, nil
	}
	return k.state.Live, nil
}

// Promote makes the candidate judge everybody, whatever stage it is in.
func (k *Keeper) Promote() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.Candidate == "" {
		return "", errors.New("release: promote: no bundle is on its way")
	}
	k.live(k.state.Candidate)
	k.said(DoPromote, k.state.Live, "")
	k.touch()
	return k.state.Live, nil
}

// Status is what a keeper tells of itself.
type Status struct {
	Live      string     `json:"live"`
	Since     time.Time  `json:"since"`
	Candidate string     `json:"candidate,omitempty"`
	Stage     int        `json:"stage,omitempty"`  // of the candidate, from 1
	Stages    int        `json:"stages,omitempty"` // how many there are
	Entered   *time.Time `json:"stage_since,omitempty"`
	Pin       *Pin       `json:"pinned,omitempty"`
	Rejected  []Rejected `json:"rejected,omitempty"`
	Offered   string     `json:"offered,omitempty"` // by the source; empty where that is not good
	Kept      []Kept     `json:"kept"`              // oldest first
	Held      string     `json:"held,omitempty"`    // why what is offered and good does not judge
	Error     string     `json:"error,omitempty"`   // why nothing else is offered
	Progress  *Counts    `json:"progress,omitempty"`
	Command   *Command   `json:"command,omitempty"` // done or followed last
}

// Counts is a Progress at one moment.
type Counts struct {
	Decisions uint64 `json:"decisions"`
	Asked     uint64 `json:"evaluations"`
	Errors    uint64 `json:"errors"`
	Compared  uint64 `json:"compared"`
	Disagreed uint64 `json:"disagreed"`
}

// Status returns how the keeper is doing.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{
		Live: k.state.Live, Since: k.state.Since, Candidate: k.state.Candidate, Pin: k.state.Pin, Offered: k.state.Offered, Command: k.state.Command,
		Rejected: append([]Rejected{}, k.state.Rejected...), Kept: append([]Kept{}, k.state.Kept...),
	}
	if s.Candidate != "" {
		entered := k.entered
		s.Stage, s.Stages, s.Entered = k.state.Stage+1, len(k.Stages), &entered
		p := k.progress
		s.Progress = &Counts{p.Decisions.Load(), p.Asked.Load(), p.Errors.Load(), p.Compared.Load(), p.Disagreed.Load()}
	}
	var held *Held
	if errors.As(k.err, &held) {
		s.Held = held.Error()
	}
	switch bad := k.bad(); {
	case bad != nil:
		s.Error = bad.Error()
	case k.away != nil:
		s.Error = k.away.Error()
	}
	return s
}

// newer reports whether revision a has a later semantic version than b. What has
// none is newer than nothing.
func newer(a, b string) bool {
	va, vb := version(a), version(b)
	return semver.IsValid(va) && (!semver.IsValid(vb) || semver.Compare(va, vb) > 0)
}

func version(revision string) string {
	v, _, _ := strings.Cut(revision, "+")
	return "v" + v
}
