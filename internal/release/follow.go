package release

import (
	"fmt"
	"time"
)

// Command is what somebody, or a canary's bounds, had a keeper do.
type Command struct {
	Do       string    `json:"do"` // rollback, reject, release or promote
	Revision string    `json:"revision"`
	From     string    `json:"from,omitempty"` // of a rollback: the revision that it holds back
	At       time.Time `json:"at"`
}

// The commands.
const (
	DoRollback = "rollback"
	DoReject   = "reject"
	DoRelease  = "release"
	DoPromote  = "promote"
)

// ahead is how far the clock of another replica may be ahead of ours.
const ahead = time.Minute

// Follow does what another replica was told, unless something newer was said here.
// It reports whether that changed anything. An error is told once.
func (k *Keeper) Follow(c Command) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := k.state.Command; last != nil && !c.At.After(last.At) {
		return false, nil
	}
	if c.At.After(k.Now().Add(ahead)) {
		return false, nil // or a wrong clock would have the last word for long
	}
	defer func() { k.state.Command = &c; k.touch() }()
	switch c.Do {
	case DoRollback:
		if k.state.Candidate == c.From {
			k.reject(c.From, "rolled back")
		}
		if k.state.Live != c.Revision {
			if k.find(c.Revision) == nil {
				return false, fmt.Errorf("release: follow: %s is not kept here", c.Revision)
			}
			k.live(c.Revision)
		}
		k.state.Pin = &Pin{From: c.From, At: c.At}
		k.hold()
	case DoReject:
		if k.state.Live != c.Revision {
			k.reject(c.Revision, "rejected by another replica")
		}
	case DoRelease:
		k.state.Pin, k.state.Rejected = nil, nil
		if o := k.find(k.state.Offered); o != nil {
			k.err = k.take(o.Bundle, o.data)
		} else if k.offered != nil {
			k.offered = nil // it is taken when it is offered next
			k.state.Mark = ""
		}
	case DoPromote:
		if k.state.Candidate == c.Revision {
			k.live(c.Revision)
		}
	default:
		return false, fmt.Errorf("release: follow: %q is no command", c.Do)
	}
	return true, nil
}

// hold notes that what is offered is held back, if it is. The caller holds mu.
func (k *Keeper) hold() {
	if o := k.state.Offered; o != "" && o != k.state.Live && k.state.Pin != nil && !newer(o, k.state.Pin.From) {
		k.err = heldBack(o, k.state.Pin.From)
	}
}

// said notes what was done here. The caller holds mu.
func (k *Keeper) said(do, revision, from string) {
	k.state.Command = &Command{Do: do, Revision: revision, From: from, At: k.Now()}
}

// heldBack is the error of a bundle that a rollback keeps from judging.
func heldBack(revision, from string) error {
	if revision == from {
		return &Held{revision, "was rolled back"}
	}
	return &Held{revision, "is no newer version than " + from + ", which was rolled back"}
}
