package audit

import "errors"

// Trouble returns why receipts are not kept at the moment, or nil.
func (r *Receipts) Trouble() error {
	switch {
	case r.broken.Load():
		return errors.New("audit: receipts cannot be written")
	case len(r.queue) == cap(r.queue):
		return errFull
	}
	return nil
}
