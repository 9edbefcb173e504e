// Package deliver brings what a receipt directory holds to other systems: at
// least once, in order, each sink by itself. The directory is the queue: a sink
// is a place in it that is remembered on disk, so that neither a slow sink nor a
// dead one costs the others, or whoever writes receipts, anything.
package deliver

import (
	"context"
	"errors"
	"fmt"
)

// A Sink is one foreign system. One goroutine uses it.
type Sink interface {
	// Deliver sends items, in order. They are the caller's again once it returns.
	//
	// With a nil error everything is taken for good, but for what the outcome
	// names. Any other error means that nothing is known: all of it comes again.
	// An error that is ErrRefused says that the system will never take this very
	// batch, though perhaps parts of it.
	Deliver(ctx context.Context, items []*Item) (Outcome, error)
	Close() error
}

// Outcome names what was not taken of a batch whose other items were. Indices
// are those of the batch.
type Outcome struct {
	Refused []Refusal // never to be taken: dead letters
	Again   []int     // to be tried again, in order
	Why     error     // why those were not taken; nil with none
}

// Refusal is one item that a system will never take.
type Refusal struct {
	Index int
	Why   string // in the system's words; no secret
}

// ErrRefused marks the refusal of a batch for what it holds.
var ErrRefused = errors.New("refused")

// Refuse returns an error that is ErrRefused.
func Refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// A Format makes of a receipt what a system wants to read. It may be called
// from several goroutines.
type Format func(dst []byte, it *Item) []byte
