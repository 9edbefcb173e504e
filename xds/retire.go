package xds

import (
	"context"
	"maps"
	"time"
)

// leftovers returns the clusters that are served, are not part of next, and
// may still be in use. The caller holds mu.
func (s *Server) leftovers(next content) map[string]hashed {
	out := map[string]hashed{}
	now := time.Now()
	for name, c := range s.served[clusterType] {
		if _, ok := next[clusterType][name]; ok {
			continue
		}
		if at, ok := s.retired[name]; ok && now.Sub(at) >= s.opts.Grace {
			continue
		}
		out[name] = c
	}
	return out
}

// expire notes which clusters no route uses any more, now that the routes of
// the latest generation are in force. The caller holds mu.
func (s *Server) expire(served content) {
	now := time.Now()
	retired := map[string]time.Time{}
	for name := range served[clusterType] {
		if _, used := s.latest.content[clusterType][name]; used {
			continue
		}
		if at, ok := s.retired[name]; ok {
			retired[name] = at
		} else {
			retired[name] = now
		}
	}
	s.retired = retired
}

// afterGrace returns a channel that fires when the next retired cluster may go,
// or nil when there is none.
func (s *Server) afterGrace() <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.retired) == 0 {
		return nil
	}
	var first time.Time
	for _, at := range s.retired {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return time.After(time.Until(first.Add(s.opts.Grace)))
}

// retire takes away the clusters whose grace is over, and with the last of
// them the secrets.
func (s *Server) retire(ctx context.Context) {
	s.mu.Lock()
	g := s.latest
	if g.nacked != nil { // another push follows, and counts anew
		s.retired = map[string]time.Time{}
		s.mu.Unlock()
		return
	}
	left := s.leftovers(g.content)
	c := s.served.with(clusterType, union(g.content[clusterType], left))
	if len(left) == 0 {
		c = c.with(secretType, g.content[secretType])
	}
	s.mu.Unlock()
	ok := s.serve(ctx, "removal", c, clusterType)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step = ""
	maps.DeleteFunc(s.retired, func(name string, _ time.Time) bool { _, kept := left[name]; return !kept })
	g.relaxed = g.relaxed || !ok
	s.accept()
}
