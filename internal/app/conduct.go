package app

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/anomaly"
	"github.com/sallyport/sallyport/guard/escalation"
	"github.com/sallyport/sallyport/guard/loop"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/redis"
	"github.com/sallyport/sallyport/mcp"
)

// conduct keeps what is remembered of how callers behave, which a reload does not
// touch. It is made when the first configuration that watches them needs it.
type conduct struct {
	once    sync.Once
	tickets *guard.Tickets
	gossip  atomic.Pointer[redis.Gossip] // nil without Redis

	mu     sync.Mutex
	usual  *anomaly.Memory
	loops  *loop.Memory
	within time.Duration // of the configuration built last
}

// ticket is what guards that may hold a call need.
func (c *conduct) ticket() *guard.Tickets {
	c.once.Do(func() { c.tickets = guard.NewTickets() })
	return c.tickets
}

// loop is what guard/loop needs, if the guide's block asks for it. shared is where
// replicas tell each other; nil for nowhere.
func (c *conduct) loop(cfg *config.Config, shared *redis.Shared) loop.Ports {
	if !cfg.Autonomy.Monitoring.LoopDetection {
		return loop.Ports{}
	}
	return loop.Ports{Now: time.Now, Tickets: c.ticket(), Share: c.tell, Memory: func(settings loop.Config) (*loop.Memory, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.within = settings.Within
		if c.loops == nil {
			c.loops = loop.NewMemory(settings.MaxKeys)
		}
		c.loops.Bound(settings.MaxKeys)
		if c.gossip.Load() == nil && shared != nil {
			c.gossip.Store(shared.Gossip(time.Now, c.learn))
		}
		return c.loops, nil
	}}
}

// watched is what the guide's blocks ask guard/anomaly to look for.
func watched(cfg *config.Config) (w anomaly.Watch) {
	m := cfg.Autonomy.Monitoring
	if m.AnomalyDetection {
		w |= anomaly.Behaviour
	}
	if m.ResourceMonitoring {
		w |= anomaly.Resources
	}
	for _, alert := range cfg.Telemetry.Alerts.AnomalyDetection {
		switch alert {
		case "tool_usage_spikes":
			w |= anomaly.Rates
		case "egress_destination_changes":
			w |= anomaly.Destinations
		}
	}
	return w
}

// anomaly is what guard/anomaly needs, if the guide's blocks ask for it. cost says
// what calls cost.
func (c *conduct) anomaly(cfg *config.Config, cost func(*guard.Exchange, *mcp.Message) (int64, bool)) anomaly.Ports {
	w := watched(cfg)
	if w == 0 {
		return anomaly.Ports{}
	}
	p := anomaly.Ports{Now: time.Now, Tickets: c.ticket(), Watch: w, Cost: cost}
	p.Memory = func(settings anomaly.Config) *anomaly.Memory {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.usual == nil {
			c.usual = anomaly.NewMemory(settings.MaxKeys)
		}
		c.usual.Bound(settings.MaxKeys)
		return c.usual
	}
	return p
}

// escalation is what guard/escalation needs: the guide's block.
func (c *conduct) escalation(cfg *config.Config) escalation.Ports {
	b := cfg.Autonomy.BoundaryControls
	return escalation.Ports{Tickets: c.ticket(), Boundary: escalation.Boundary{
		HumanInLoop: b.HumanInLoop, ApprovalRequired: b.ApprovalRequired, Threshold: b.EscalationThreshold,
	}}
}

// tell passes on what came of a call, if there are others to hear it.
func (c *conduct) tell(e loop.Event) {
	if g := c.gossip.Load(); g != nil {
		g.Tell(e)
	}
}

// learn takes in what another replica tells.
func (c *conduct) learn(e loop.Event) {
	c.mu.Lock()
	memory, within := c.loops, c.within
	c.mu.Unlock()
	memory.Learn(&e, within)
}

// run talks to other replicas until ctx ends.
func (c *conduct) run(ctx context.Context) {
	tend(ctx, func() (run func(context.Context), sweep func()) {
		if g := c.gossip.Load(); g != nil {
			return g.Run, nil
		}
		return nil, nil
	})
}

// checkAutonomy refuses settings of autonomy_controls that nothing would enforce,
// and settings of their guards that would have no effect.
func checkAutonomy(cfg *config.Config) error {
	a, b := &cfg.Autonomy, cfg.Autonomy.BoundaryControls
	var errs []error
	for _, s := range []struct {
		setting, guard string
		on             bool
		defaults       any
	}{
		{"monitoring.loop_detection", "loop", a.Monitoring.LoopDetection, loop.Default()},
		{"monitoring.anomaly_detection or resource_monitoring", "anomaly", watched(cfg) != 0, anomaly.Default()},
		{"boundary_controls", "escalation", b != (config.BoundaryControls{}), escalation.Default()},
	} {
		section := cfg.Guards[s.guard]
		switch {
		case s.on && section.Mode == "off":
			errs = append(errs, fmt.Errorf("autonomy_controls.%s: guards.%s.mode is off, so nothing enforces it", s.setting, s.guard))
		case !s.on && section.Config != nil && !reflect.DeepEqual(reflect.ValueOf(section.Config).Elem().Interface(), s.defaults):
			errs = append(errs, fmt.Errorf("guards.%s: has no effect without autonomy_controls.%s; remove it", s.guard, s.setting))
		}
	}
	return errors.Join(errs...)
}

// Conduct tells how watching callers goes.
type Conduct struct {
	Remembered int    `json:"remembered"`
	Forgotten  uint64 `json:"forgotten"`
	Heard      uint64 `json:"heard"`
	Lost       uint64 `json:"lost"`
	Trouble    string `json:"trouble,omitempty"` // why replicas do not hear each other
}

func (c *conduct) status() (s Conduct) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loops != nil {
		s.Remembered, s.Forgotten = c.loops.Len(), c.loops.Forgotten()
	}
	if c.usual != nil {
		s.Remembered, s.Forgotten = s.Remembered+c.usual.Len(), s.Forgotten+c.usual.Forgotten()
	}
	if g := c.gossip.Load(); g != nil {
		_, s.Heard, s.Lost = g.Counts()
		s.Trouble = g.Trouble()
	}
	return s
}
