package app

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/internal/config"
	own "github.com/sallyport/sallyport/internal/flow"
	"github.com/sallyport/sallyport/internal/redis"
)

// flows keeps the labels that callers and tasks carry, which a reload does not
// touch. It is made when the first configuration with such labels needs it.
type flows struct {
	mu       sync.Mutex
	embedded *own.Embedded
	shared   *redis.Flow
}

// ports are what guard/flow needs. shared is where replicas meet; nil for nowhere.
func (f *flows) ports(cfg *config.Config, shared *redis.Shared) flow.Ports {
	return flow.Ports{Now: time.Now, Secret: func(reference string) ([]byte, error) {
		s, err := secret(reference)
		return []byte(s), err
	}, Store: func(c flow.Config) (flow.Store, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case f.shared != nil:
			return f.shared, nil
		case f.embedded != nil:
			f.embedded.Bound(c.MaxKeys)
			return f.embedded, nil
		case len(cfg.Redis.Addresses) > 0 && shared != nil:
			f.shared = shared.Flow(time.Now)
			return f.shared, nil
		}
		f.embedded = own.NewEmbedded(time.Now, c.MaxKeys)
		return f.embedded, nil
	}}
}

// store is where labels are kept; nil where nothing follows.
func (f *flows) store() flow.Store {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.shared != nil:
		return f.shared
	case f.embedded != nil:
		return f.embedded
	}
	return nil
}

// run keeps the labels in order until ctx ends.
func (f *flows) run(ctx context.Context) {
	tend(ctx, func() (run func(context.Context), sweep func()) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.embedded != nil {
			return nil, f.embedded.Sweep
		}
		return nil, nil
	})
}

// Flow tells how keeping labels goes.
type Flow struct {
	Kept     string `json:"kept,omitempty"` // "here" or "redis"; nothing while no labels follow
	Keys     int    `json:"keys"`           // callers and tasks that carry any, where they are kept here
	Reads    uint64 `json:"reads"`          // that had to ask Redis
	Trips    uint64 `json:"trips"`          // to Redis, for reads and additions; reads share them
	Adds     uint64 `json:"adds"`
	Failures uint64 `json:"failures"`
	Trouble  string `json:"trouble,omitempty"` // why Redis is not asked at the moment
}

func (f *flows) status() Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.shared != nil:
		s := f.shared.Status()
		return Flow{Kept: "redis", Reads: s.Reads, Trips: s.Trips, Adds: s.Adds, Failures: s.Failures, Trouble: s.Trouble}
	case f.embedded != nil:
		return Flow{Kept: "here", Keys: f.embedded.Keys()}
	}
	return Flow{}
}
