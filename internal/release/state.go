package release

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// State is what a Keeper remembers over a restart.
type State struct {
	Source    string     `json:"source"`
	Kept      []Kept     `json:"kept"`                // oldest first
	Live      string     `json:"live"`                // revision that judges
	Since     time.Time  `json:"since"`               // that it does
	Newest    string     `json:"newest,omitempty"`    // revision that ever judged everybody
	Candidate string     `json:"candidate,omitempty"` // revision that is on its way
	Stage     int        `json:"stage,omitempty"`     // of the candidate, from 0
	Pin       *Pin       `json:"pin,omitempty"`
	Rejected  []Rejected `json:"rejected,omitempty"`
	Mark      string     `json:"mark,omitempty"` // of what was offered last
	Offered   string     `json:"offered,omitempty"`
	Command   *Command   `json:"command,omitempty"` // done or followed last
}

// NewKeeper returns a keeper that goes on from state, as far as the bundles in
// it are still good. load returns an archive by its name.
func NewKeeper(s Settings, state State, load func(sum string) ([]byte, error)) (*Keeper, error) {
	k := &Keeper{Settings: s, changed: make(chan struct{}, 1), state: State{Source: s.Source}, entered: s.Now()}
	var errs []error
	for _, one := range state.Kept {
		data, err := load(one.Archive)
		if err == nil {
			if sum(data) != one.Archive {
				err = errors.New("has been changed")
			} else {
				one.Bundle, err = k.open(data)
			}
		}
		if err == nil && one.Bundle.Revision() != one.Revision {
			err = errors.New("is another bundle than it was")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("release: kept bundle %s: %w", one.Revision, err))
			continue
		}
		one.data = data
		k.state.Kept = append(k.state.Kept, one)
	}
	if state.Source != s.Source {
		return k, errors.Join(errs...) // what another source gave can be rolled back to, and judges nothing by itself
	}
	k.state.Pin, k.state.Rejected, k.state.Newest = state.Pin, state.Rejected, state.Newest
	if c := state.Command; c != nil && !c.At.After(s.Now().Add(ahead)) { // or a wrong clock would have the last word for long
		k.state.Command = c
	}
	if k.find(state.Live) != nil {
		k.state.Live, k.state.Since = state.Live, state.Since
		if k.state.Newest == "" {
			k.state.Newest = state.Live
		}
	}
	if k.state.Live != "" && k.find(state.Candidate) != nil && state.Stage >= 0 && state.Stage < len(s.Stages) {
		k.state.Candidate = state.Candidate
		k.enter(state.Stage)
	}
	if len(errs) == 0 {
		k.state.Mark, k.state.Offered = state.Mark, state.Offered
		if one := k.find(state.Offered); one != nil {
			k.offered = one.data
		} else {
			k.state.Mark = "" // it is fetched again
		}
		k.hold()
		for _, r := range k.state.Rejected {
			if r.Revision == k.state.Offered {
				k.err = &Held{r.Revision, "was rejected: " + r.Why}
			}
		}
	}
	return k, errors.Join(errs...)
}

// State returns what the keeper remembers, and its archives by their names.
func (k *Keeper) State() (State, map[string][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.remembered()
}

// remembered is State. The caller holds mu.
func (k *Keeper) remembered() (State, map[string][]byte) {
	s := k.state
	s.Kept, s.Rejected = slices.Clone(s.Kept), slices.Clone(s.Rejected)
	archives := make(map[string][]byte, len(s.Kept))
	for _, one := range s.Kept {
		archives[one.Archive] = one.data
	}
	return s, archives
}
