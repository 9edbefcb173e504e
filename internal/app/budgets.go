package app

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	own "github.com/sallyport/sallyport/internal/budget"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/redis"
)

// budgets keeps the accounts of budgets, which a reload does not touch. They are
// made when the first configuration with a budget needs them.
type budgets struct {
	mu       sync.Mutex
	embedded *own.Embedded
	shared   *redis.Ledger
	server   *redis.Limiter // beside shared
	usage    *own.Usage
}

// port is what guard/budget needs: where accounts are kept, and the guide's
// budgets. view learns of the guard.
func (b *budgets) port(cfg *config.Config, l *limits, view *budget.View) budget.Port {
	costs, watch, box := &cfg.CostControls.Budgets, &cfg.CostControls.Monitoring, &cfg.Autonomy.SandboxBudgets
	p := budget.Port{
		Ledger: func(c budget.Config) (budget.Ledger, error) { return b.ledger(cfg.Redis, l, c) },
		Usage:  func(c budget.Config) (budget.Recorder, error) { return b.recorder(c), nil },
		View:   view,
		Now:    time.Now, PerCall: int64(costs.PerToolCall), Track: watch.RealTimeTracking, Priced: priced(cfg),
	}
	add := func(one budget.Budget) {
		name := one.Name
		one.Default()
		one.Name = name
		if watch.BudgetAlerts > 0 {
			one.Alert = watch.BudgetAlerts
		}
		p.Budgets = append(p.Budgets, one)
	}
	if costs.PerProject.Amount > 0 {
		add(budget.Budget{Name: "per_project", By: []string{"project"}, Per: string(costs.PerProject.Per), Limit: budget.Bounds{Cost: costs.PerProject.Amount}})
	}
	if costs.PerAgentSession > 0 {
		add(budget.Budget{Name: "per_agent_session", By: []string{"session"}, Limit: budget.Bounds{Cost: costs.PerAgentSession}})
	}
	if bounds := (budget.Bounds{Cost: box.MaxCost, Calls: box.MaxToolCalls, Time: box.MaxDuration}); bounds != (budget.Bounds{}) {
		add(budget.Budget{Name: "sandbox", By: []string{"task"}, Limit: bounds})
	}
	return p
}

// priced reports whether the registry has prices.
func priced(cfg *config.Config) bool {
	for _, s := range cfg.View().Servers() {
		if len(s.Prices) > 0 {
			return true
		}
	}
	return false
}

func (b *budgets) ledger(cfg config.Redis, l *limits, c budget.Config) (budget.Ledger, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.shared != nil:
		b.shared.Bound(c.MaxKeys)
	case b.embedded != nil:
		b.embedded.Bound(c.MaxKeys)
	case len(cfg.Addresses) == 0:
		b.embedded = own.NewEmbedded(time.Now, c.MaxKeys)
	default:
		l.mu.Lock()
		server, err := l.server(cfg, c.MaxKeys)
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
		b.server, b.shared = server, redis.NewLedger(server, c.MaxKeys)
	}
	if b.shared != nil {
		return b.shared, nil
	}
	return b.embedded, nil
}

// recorder is what counts who used what. The ledger is there already.
func (b *budgets) recorder(c budget.Config) *own.Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.usage == nil {
		keep := func() time.Duration { return b.usage.Keep() }
		var store own.Store = own.NewMemory(time.Now, keep)
		if b.shared != nil {
			store = redis.NewUsage(b.server, keep)
		}
		b.usage = own.NewUsage(store)
	}
	b.usage.Bound(c.Usage.MaxKeys, c.Usage.Keep)
	return b.usage
}

// counted returns what counts usage, or nil.
func (b *budgets) counted() *own.Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.usage
}

// count stores usage until ctx ends.
func (b *budgets) count(ctx context.Context) {
	tend(ctx, func() (run func(context.Context), sweep func()) {
		if u := b.counted(); u != nil {
			return u.Run, nil
		}
		return nil, nil
	})
}

// run keeps the accounts in order until ctx ends.
func (b *budgets) run(ctx context.Context) {
	counted := make(chan struct{})
	go func() { defer close(counted); b.count(ctx) }()
	defer func() { <-counted }()
	tend(ctx, func() (run func(context.Context), sweep func()) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.shared != nil {
			return b.shared.Run, nil
		}
		if b.embedded != nil {
			return nil, b.embedded.Sweep
		}
		return nil, nil
	})
}

// Accounts tells how keeping account goes.
type Accounts struct {
	Kept        string `json:"kept,omitempty"` // "here" or "redis"; nothing without budgets
	Keys        int    `json:"keys"`
	Crowded     uint64 `json:"crowded"`
	Trips       uint64 `json:"trips"`
	Failures    uint64 `json:"failures"`
	Unshared    uint64 `json:"unshared"`
	Unavailable uint64 `json:"unavailable"`
}

func (b *budgets) status() Accounts {
	b.mu.Lock()
	shared, embedded := b.shared, b.embedded
	b.mu.Unlock()
	switch {
	case shared != nil:
		s := shared.Status()
		return Accounts{Kept: "redis", Keys: s.Keys, Crowded: s.Crowded, Trips: s.Trips, Failures: s.Failures, Unshared: s.Unshared, Unavailable: s.Unavailable}
	case embedded != nil:
		return Accounts{Kept: "here", Keys: embedded.Keys(), Crowded: embedded.Crowded()}
	}
	return Accounts{}
}

// cost is what calls cost since the start.
func (b *budgets) cost() int64 {
	if u := b.counted(); u != nil {
		return u.Cost()
	}
	return 0
}

// unpriced reports whether money is bounded and nothing costs any.
func unpriced(cfg *config.Config) bool {
	c, ok := cfg.Guards["budget"].Config.(*budget.Config)
	if !ok || len(c.Prices) > 0 || priced(cfg) {
		return false
	}
	costs := cfg.CostControls.Budgets
	bounded := costs.PerProject.Amount > 0 || costs.PerAgentSession > 0 || costs.PerToolCall > 0 || cfg.Autonomy.SandboxBudgets.MaxCost > 0 || c.PerCall > 0
	for _, b := range c.Budgets {
		bounded = bounded || b.Limit.Cost > 0
	}
	return bounded
}
