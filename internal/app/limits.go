package app

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
	own "github.com/sallyport/sallyport/internal/quota"
	"github.com/sallyport/sallyport/internal/redis"
)

// limits keeps the counters of calls, which a reload does not touch. They are
// made when the first configuration with a limit needs them.
type limits struct {
	mu       sync.Mutex
	embedded *own.Embedded
	shared   *redis.Limiter
}

// port is what guard/quota needs: where calls are counted, and the guide's rules.
func (l *limits) port(cfg *config.Config, idle func(server string) bool) quota.Port {
	p := quota.Port{Idle: idle, Limiter: func(c quota.Config) (quota.Limiter, error) { return l.limiter(cfg.Redis, c) }}
	add := func(name string, limit notation.Rates, by ...string) {
		if len(limit) > 0 {
			p.Rules = append(p.Rules, quota.Rule{Name: name, By: by, Limit: limit, OnError: "deny"})
		}
	}
	add("per_principal", cfg.Gateway.RateLimiting.PerPrincipal, "principal")
	add("per_tool", cfg.Gateway.RateLimiting.PerTool, "principal", "tool")
	return p
}

func (l *limits) limiter(cfg config.Redis, c quota.Config) (quota.Limiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.shared != nil:
		l.shared.Bound(c.MaxKeys)
	case l.embedded != nil:
		l.embedded.Bound(c.MaxKeys)
	case len(cfg.Addresses) == 0:
		l.embedded = own.NewEmbedded(clock(), c.MaxKeys)
	default:
		if _, err := l.server(cfg, c.MaxKeys); err != nil {
			return nil, err
		}
	}
	if l.shared != nil {
		return l.shared, nil
	}
	return l.embedded, nil
}

// server is what counts calls in Redis, and keeps the connections and the breaker
// for all that replicas share. The caller holds mu.
func (l *limits) server(cfg config.Redis, keys int) (*redis.Limiter, error) {
	if l.shared != nil {
		return l.shared, nil
	}
	o, err := redisOptions(cfg)
	if err != nil {
		return nil, err
	}
	l.shared = redis.New(o, clock(), keys)
	return l.shared, nil
}

// clock tells the time since now, and does not go back.
func clock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// run keeps the counters in order until ctx ends.
func (l *limits) run(ctx context.Context) {
	tend(ctx, func() (run func(context.Context), sweep func()) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.shared != nil {
			return l.shared.Run, nil
		}
		if l.embedded != nil {
			return nil, l.embedded.Sweep
		}
		return nil, nil
	})
}

// Quota tells how counting calls goes.
type Quota struct {
	Counted     string `json:"counted,omitempty"` // "here" or "redis"; nothing without rules
	Keys        int    `json:"keys"`
	Crowded     uint64 `json:"crowded"`
	Trouble     string `json:"trouble,omitempty"` // why Redis is not asked at the moment
	Replicas    int    `json:"replicas,omitempty"`
	Trips       uint64 `json:"trips"`
	Failures    uint64 `json:"failures"`
	Opened      uint64 `json:"breaker_opened"`
	Unshared    uint64 `json:"unshared"`
	Unavailable uint64 `json:"unavailable"`
	Lost        uint64 `json:"lost"`
}

func (l *limits) status() Quota {
	l.mu.Lock()
	shared, embedded := l.shared, l.embedded
	l.mu.Unlock()
	switch {
	case shared != nil:
		s := shared.Status()
		return Quota{
			Counted: "redis", Keys: s.Keys, Crowded: s.Crowded, Trouble: s.Trouble, Replicas: s.Replicas, Trips: s.Trips,
			Failures: s.Failures, Opened: s.Opened, Unshared: s.Unshared, Unavailable: s.Unavailable, Lost: s.Lost,
		}
	case embedded != nil:
		return Quota{Counted: "here", Keys: embedded.Keys(), Crowded: embedded.Crowded()}
	}
	return Quota{}
}
