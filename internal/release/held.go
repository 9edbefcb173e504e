package release

import "errors"

// Held is the error of a good bundle that is not taken because somebody said so.
type Held struct{ Revision, Why string }

// Error says why, and what takes the bundle nevertheless.
func (h *Held) Error() string {
	return "release: " + h.Revision + " " + h.Why + "; `sallyport policy release` takes it nevertheless"
}

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
