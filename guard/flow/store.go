package flow

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/recent"
)

// Key names a caller or a task. It is a digest, so that a store tells nobody's name.
type Key = recent.Key

// Source is the exchange that brought a label.
type Source struct {
	Exchange string
	Server   string
}

// Label is one that a caller or a task carries.
type Label struct {
	Name   string
	Source Source        // that brought it last
	Left   time.Duration // how long it is still carried
}

// Entry is labels to be carried under a key. Left of each is how long from now.
type Entry struct {
	Key    Key
	Labels []Label
}

// Store keeps labels until their time is over, for all replicas. It is called
// concurrently. Labels are only ever added, and a label that is added again is
// carried for the longer of both times; only Forget takes any away.
type Store interface {
	// TryRead returns what keys carry, key by key, if nobody has to be asked.
	TryRead(keys []Key) (carried [][]Label, known bool)

	// Read is TryRead, but may wait. It sees whatever an Add had kept, at any
	// replica, that returned before Read was called. An error means that nobody
	// knows.
	Read(ctx context.Context, keys []Key) ([][]Label, error)

	// Add keeps labels. When it returns nil, they are kept; after an error some,
	// all or none may be.
	Add(ctx context.Context, entries []Entry) error

	// Forget takes all labels of a key away, and returns what they were.
	Forget(ctx context.Context, k Key) ([]Label, error)
}
