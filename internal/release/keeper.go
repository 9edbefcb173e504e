package release

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Bundle is one release of a policy, verified and good to judge by.
type Bundle interface {
	// Revision names the bundle: its version, and a digest of its content.
	Revision() string
}

// Settings are what a Keeper works by.
type Settings struct {
	Source string // what names the source in the configuration

	// Open verifies an archive and makes sure that it could judge.
	Open func(archive []byte) (Bundle, error)
	Keep int // how many bundles are kept; at least 2
	// Stages are what a new bundle goes through before it judges everybody;
	// none: it does so at once.
	Stages []Stage
	Bounds Bounds
	Now    func() time.Time
}

// Kept is a bundle that was good when it came.
type Kept struct {
	Bundle   Bundle    `json:"-"`
	Revision string    `json:"revision"`
	Archive  string    `json:"archive"` // SHA-256
	Taken    time.Time `json:"taken"`

	data []byte
}

// Pin holds a Keeper to a bundle.
type Pin struct {
	From string    `json:"from"` // the revision that was rolled back
	At   time.Time `json:"at"`
}

// Rejected is a bundle that is not to judge.
type Rejected struct {
	Revision string    `json:"revision"`
	Why      string    `json:"why"`
	At       time.Time `json:"at"`
}

// State is what a Keeper remembers over a restart.
type State struct {
	Source    string     `json:"source"`
	Kept      []Kept     `json:"kept"`                // oldest first
	Live      string     `json:"live"`                // revision that judges
	Since     time.Time  `json:"since"`               // that it does
	Candidate string     `json:"candidate,omitempty"` // revision that is on its way
	Stage     int        `json:"stage,omitempty"`     // of the candidate, from 0
	Pin       *Pin       `json:"pin,omitempty"`
	Rejected  []Rejected `json:"rejected,omitempty"`
	Mark      string     `json:"mark,omitempty"` // of what was offered last
	Offered   string     `json:"offered,omitempty"`
	Command   *Command   `json:"command,omitempty"` // done or followed last
}

// Plan says what is to judge.
type Plan struct {
	Live      *Kept
	Candidate *Kept // nil: everybody meets Live
	Stage     int
	Of        Stage // the stage that Candidate is in
	Progress  *Progress
}

// Keeper decides which bundle judges. Its methods are safe for concurrent use.
type Keeper struct {
	Settings
	mu       sync.Mutex
	state    State
	err      error // why what is offered does not judge
	away     error // why the source could not be asked
	entered  time.Time
	progress *Progress // of the candidate in its stage
	dirty    bool
	changed  chan struct{}
	offered  []byte // the archive of state.Offered, for Release
}

// NewKeeper returns a keeper that goes on from state, as far as the bundles in
// it are still good. load returns an archive by its name.
func NewKeeper(s Settings, state State, load func(sum string) ([]byte, error)) (*Keeper, error) {
	k := &Keeper{Settings: s, changed: make(chan struct{}, 1), state: State{Source: s.Source}, entered: s.Now()}
	var errs []error
	for _, one := range state.Kept {
		data, err := load(one.Archive)
		if err == nil {
			if Sum(data) != one.Archive {
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
	k.state.Pin, k.state.Rejected = state.Pin, state.Rejected
	if c := state.Command; c != nil && !c.At.After(s.Now().Add(ahead)) { // or a wrong clock would have the last word for long
		k.state.Command = c
	}
	if k.find(state.Live) != nil {
		k.state.Live, k.state.Since = state.Live, state.Since
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

func (k *Keeper) open(archive []byte) (Bundle, error) {
	if err := Check(archive); err != nil {
		return nil, err
	}
	return k.Open(archive)
}

// find returns the kept bundle of a revision, or nil. The caller holds mu.
func (k *Keeper) find(revision string) *Kept {
	for i := range k.state.Kept {
		if k.state.Kept[i].Revision == revision {
			return &k.state.Kept[i]
		}
	}
	return nil
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

// Mark returns the mark of what was offered last.
func (k *Keeper) Mark() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state.Mark
}

// Plan returns what is to judge; Live is nil while there is nothing good.
func (k *Keeper) Plan() Plan {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := Plan{Live: k.copy(k.state.Live), Candidate: k.copy(k.state.Candidate), Stage: k.state.Stage}
	if p.Candidate != nil {
		p.Of, p.Progress = k.Stages[p.Stage], k.progress
	}
	return p
}

func (k *Keeper) copy(revision string) *Kept {
	one := k.find(revision)
	if one == nil {
		return nil
	}
	c := *one
	return &c
}

// Changed tells, some time after it happened, that the plan or the state has changed.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// touch notes a change. The caller holds mu.
func (k *Keeper) touch() {
	k.dirty = true
	k.tell()
}

func (k *Keeper) tell() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Offer takes what a source offers. Its error says why that does not judge.
func (k *Keeper) Offer(o Offer, failed error) error {
	if failed != nil {
		return k.trouble(failed)
	}
	k.mu.Lock()
	if k.away != nil {
		k.away = nil
		k.tell()
	}
	same := o.Archive == nil || k.offered != nil && Sum(o.Archive) == Sum(k.offered)
	if same {
		defer k.mu.Unlock()
		if k.state.Mark != o.Mark {
			k.state.Mark = o.Mark
			k.dirty = true
		}
		return k.err
	}
	k.mu.Unlock()
	b, err := k.open(o.Archive) // takes its time, and nobody has to wait for it
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offered, k.state.Mark, k.state.Offered = o.Archive, o.Mark, ""
	if err != nil {
		k.err = err
		k.touch()
		return err
	}
	k.state.Offered = b.Revision()
	k.err = k.take(b, o.Archive)
	k.touch()
	return k.err
}

// Held is the error of a good bundle that is not taken because somebody said so.
type Held struct{ Revision, Why string }

// Error says why, and what takes the bundle nevertheless.
func (h *Held) Error() string {
	return "release: " + h.Revision + " " + h.Why + "; `sallyport policy release` takes it nevertheless"
}

// trouble notes that the source cannot be asked.
func (k *Keeper) trouble(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.away = err
	k.tell()
	return err
}

// take decides what becomes of a good bundle. The caller holds mu.
func (k *Keeper) take(b Bundle, archive []byte) error {
	revision := b.Revision()
	switch revision {
	case k.state.Live:
		if k.state.Candidate != "" { // withdrawn before its time
			k.leave()
		}
		return nil
	case k.state.Candidate:
		return nil
	}
	if i := slices.IndexFunc(k.state.Rejected, func(r Rejected) bool { return r.Revision == revision }); i >= 0 {
		return &Held{revision, "was rejected: " + k.state.Rejected[i].Why}
	}
	if p := k.state.Pin; p != nil {
		if !newer(revision, p.From) {
			return heldBack(revision, p.From)
		}
		k.state.Pin = nil
	}
	k.keep(b, archive)
	if k.state.Live == "" || len(k.Stages) == 0 {
		k.live(revision)
		return nil
	}
	k.state.Candidate = revision
	k.enter(0)
	return nil
}

// keep remembers a bundle, and forgets the oldest that judge nothing. The
// caller holds mu.
func (k *Keeper) keep(b Bundle, archive []byte) {
	k.state.Kept = slices.DeleteFunc(k.state.Kept, func(o Kept) bool { return o.Revision == b.Revision() })
	k.state.Kept = append(k.state.Kept, Kept{Bundle: b, Revision: b.Revision(), Archive: Sum(archive), Taken: k.Now(), data: archive})
	for i := 0; i < len(k.state.Kept)-1 && len(k.state.Kept) > k.Keep; {
		if r := k.state.Kept[i].Revision; r == k.state.Live || r == k.state.Candidate {
			i++
			continue
		}
		k.state.Kept = slices.Delete(k.state.Kept, i, i+1)
	}
}

// live makes a kept bundle judge everybody. The caller holds mu.
func (k *Keeper) live(revision string) {
	k.state.Live, k.state.Since = revision, k.Now()
	k.leave()
}

// leave ends what stages a candidate was in. The caller holds mu.
func (k *Keeper) leave() { k.state.Candidate, k.state.Stage = "", 0 }

// Err returns why what is offered does not judge, or nil. What is wrong with it
// matters most, then that the source cannot be asked, and last that it is held.
func (k *Keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bad() == nil && k.away != nil {
		return &Away{k.away}
	}
	return k.err
}

// Away is the error of a source that cannot be asked.
type Away struct{ error }

func (a *Away) Unwrap() error { return a.error }

// bad returns what is wrong with what is offered, or nil. The caller holds mu.
func (k *Keeper) bad() error {
	var held *Held
	if errors.As(k.err, &held) {
		return nil
	}
	return k.err
}
