package release

import (
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
	// Forward holds back what has a lower version than what has judged before:
	// whoever stands in for the source could offer any bundle that was ever signed.
	Forward bool
	Now     func() time.Time
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
	same := o.Archive == nil || k.offered != nil && sum(o.Archive) == sum(k.offered)
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
	if k.Forward && newer(k.state.Newest, revision) {
		return &Held{revision, "is older than " + k.state.Newest + ", which has judged before"}
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
	k.state.Kept = append(k.state.Kept, Kept{Bundle: b, Revision: b.Revision(), Archive: sum(archive), Taken: k.Now(), data: archive})
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
	if newer(revision, k.state.Newest) {
		k.state.Newest = revision
	}
	k.leave()
}

// leave ends what stages a candidate was in. The caller holds mu.
func (k *Keeper) leave() { k.state.Candidate, k.state.Stage = "", 0 }
