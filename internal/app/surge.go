package app

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/surge"
	"github.com/sallyport/sallyport/internal/config"
	valves "github.com/sallyport/sallyport/internal/surge"
)

// surges keeps what was learned of servers, which a reload does not touch.
type surges struct {
	mu     sync.Mutex
	valves *valves.Valves
}

// port is what guard/surge needs; nil leaves the guard out.
func (s *surges) port(on bool) surge.Port {
	if !on {
		return nil
	}
	return func(c surge.Config) (surge.Valve, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.valves == nil {
			began := time.Now()
			s.valves = valves.New(func() time.Duration { return time.Since(began) }, c)
		} else {
			s.valves.Configure(c)
		}
		return s.valves, nil
	}
}

// idle is what guard/quota asks before it lends; nil where nobody knows.
func (s *surges) idle(on bool) func(server string) bool {
	if !on {
		return nil
	}
	return func(server string) bool {
		s.mu.Lock()
		v := s.valves
		s.mu.Unlock()
		return v != nil && v.Idle(server)
	}
}

// status tells how servers stand; nothing while the guard is out.
func (s *surges) status() []valves.Status {
	s.mu.Lock()
	v := s.valves
	s.mu.Unlock()
	if v == nil {
		return nil
	}
	return v.Status()
}

// total adds up one number of all servers.
func (s *surges) total(of func(valves.Status) uint64) uint64 {
	var n uint64
	for _, one := range s.status() {
		n += of(one)
	}
	return n
}

// surgeEnforced reports settings of surges that nothing would heed.
func surgeEnforced(cfg *config.Config) error {
	g, on := cfg.Guards["surge"], cfg.Gateway.RateLimiting.AdaptiveSurge
	c, ok := g.Config.(*surge.Config)
	if !ok {
		return nil
	}
	switch defaults := surge.Default(); {
	case on && g.Mode == "off":
		return errors.New("gateway.rate_limiting.adaptive_surge: guards.surge.mode is off, so nothing enforces it")
	case on && c.Queue.Length > 0 && c.Queue.Time >= g.Timeout:
		return fmt.Errorf("guards.surge.queue.time: must be less than guards.surge.timeout, which is %v", g.Timeout)
	case !on && !reflect.DeepEqual(*c, defaults):
		return errors.New("guards.surge: takes effect with gateway.rate_limiting.adaptive_surge: true only")
	case !on && lends(cfg):
		return errors.New("guards.quota: lend takes effect with gateway.rate_limiting.adaptive_surge: true only, which knows what servers have to do")
	}
	return nil
}

// lends reports whether some limit may be exceeded while servers are idle.
func lends(cfg *config.Config) bool {
	c, ok := cfg.Guards["quota"].Config.(*quota.Config)
	return ok && (c.Lend > 0 || slices.ContainsFunc(c.Rules, func(r quota.Rule) bool { return r.Lend > 0 }))
}
