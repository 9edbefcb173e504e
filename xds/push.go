package xds

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Push makes r what all Envoys are to get. It returns at once; [Server.Run]
// does the work, and [Server.Status] tells how far it is. Pushing what is
// already on its way does nothing. [ErrRejected] means that an Envoy has refused
// exactly this before; the configuration in force stays. r must not be changed
// afterwards.
func (s *Server) Push(r *Resources) error {
	if err := r.Validate(); err != nil {
		return err
	}
	c, err := contentOf(r)
	if err != nil {
		return err
	}
	g := &generation{content: c, version: c.version()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.rejected[g.version]; n != nil {
		s.counts.PushesRefused++
		return fmt.Errorf("%w: version %s, %s: %s", ErrRejected, g.version, n.Kind, n.Message)
	}
	newest := s.desired
	if newest == nil {
		newest = s.latest
	}
	if newest != nil && newest.version == g.version {
		return nil
	}
	s.desired = g
	s.wake()
	return nil
}

// Forgive lets a configuration that was rejected be pushed once more: what
// Envoy missed outside of it, such as a file or a folder, may be there now.
func (s *Server) Forgive(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rejected, version)
}

// Run pushes until ctx ends. It must run exactly once.
func (s *Server) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-s.afterGrace():
			s.retire(ctx)
			continue
		}
		g := s.next()
		if g == nil { // a rejection has no time to lose, a change has
			s.debounce(ctx)
			g = s.next()
		}
		if g == nil {
			g = s.take()
		}
		if g != nil {
			s.apply(ctx, g)
		}
	}
}

// take returns what was pushed last, once.
func (s *Server) take() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.desired
	s.desired = nil
	return g
}

// next returns the generation to go back to when the latest was rejected.
func (s *Server) next() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil || s.latest.nacked == nil || s.good == nil || s.latest == s.good {
		return nil
	}
	s.counts.Reverts++
	s.log.Error("xds configuration rejected, going back to the last good one",
		"rejected", s.latest.version, "good", s.good.version, "kind", s.latest.nacked.Kind,
		"node", s.latest.nacked.Node, "reason", s.latest.nacked.Message)
	if f := s.opts.Hooks.Reverted; f != nil {
		f(s.latest.version, s.good.version)
	}
	if s.desired != nil { // what came meanwhile is still wanted
		s.wake()
	}
	return s.good
}

// debounce returns when no push came for a while.
func (s *Server) debounce(ctx context.Context) {
	s.mu.Lock()
	first := s.latest == nil
	s.mu.Unlock()
	if first {
		return // Envoys are waiting
	}
	limit := time.NewTimer(10 * s.opts.Debounce)
	defer limit.Stop()
	for {
		quiet := time.NewTimer(s.opts.Debounce)
		select {
		case <-s.kick:
			quiet.Stop()
		case <-quiet.C:
			return
		case <-limit.C:
			quiet.Stop()
			return
		case <-ctx.Done():
			quiet.Stop()
			return
		}
	}
}

// apply takes the steps from what is served to g. It stops early when an Envoy
// rejects g; then [Server.next] knows where to go.
func (s *Server) apply(ctx context.Context, g *generation) {
	start := time.Now()
	s.mu.Lock()
	before, replaced := s.served, s.latest
	g.relaxed = false
	s.latest, s.pushedAt = g, start
	s.counts.Pushes++
	left := s.leftovers(g.content)
	if replaced != nil && replaced.nacked != nil && replaced.nacked.Kind == short(clusterType) {
		maps.DeleteFunc(left, func(name string, _ hashed) bool { _, bad := replaced.content[clusterType][name]; return bad })
	}
	s.mu.Unlock()

	now := g.content.with(clusterType, union(g.content[clusterType], left))
	all := true
	if before != nil {
		now = now.with(secretType, union(g.content[secretType], before[secretType]))
		all = s.serve(ctx, "clusters", now.with(routeType, before[routeType]).with(listenerType, before[listenerType]), clusterType)
	}
	if len(left) == 0 { // the clusters that used the others have changed
		now = now.with(secretType, g.content[secretType])
	}
	if !s.isRejected(g) {
		all = s.serve(ctx, "routes", now, settled...) && all
	}

	s.mu.Lock()
	s.step = ""
	if g.nacked == nil {
		s.expire(now)
		g.relaxed = !all
		s.accept()
	}
	s.mu.Unlock()
	if f := s.opts.Hooks.Pushed; f != nil {
		f(g.version, time.Since(start))
	}
}

func (s *Server) isRejected(g *generation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.nacked != nil
}

// serve gives c to all Envoys and waits until they have accepted the given
// types, or it is known that they will not. It reports whether they have.
func (s *Server) serve(ctx context.Context, step string, c content, await ...string) bool {
	versions := c.typeVersions()
	s.mu.Lock()
	same := maps.Equal(versions, s.versions)
	s.step = step
	if !same {
		s.served, s.versions = c, versions
		for _, n := range s.nodes {
			n.compare(s)
		}
	}
	g := s.latest
	s.trace(g)
	s.notify()
	s.mu.Unlock()
	if !same {
		setting, cancel := context.WithTimeout(ctx, s.opts.StepTimeout)
		err := s.cache.SetSnapshot(setting, fleetKey, c.snapshot(versions))
		cancel()
		if err != nil { // a stream did not take its message; it gets it when it asks again
			s.log.Warn("xds push incomplete", "step", step, "err", err)
		}
		s.log.Debug("xds push", "step", step, "version", g.version)
	}
	return s.wait(ctx, func() bool {
		return g.nacked != nil || s.answeredByAll(await)
	})
}

// wait returns true as soon as done does, and false after the step timeout.
// done is called with mu held.
func (s *Server) wait(ctx context.Context, done func() bool) bool {
	timeout := time.NewTimer(s.opts.StepTimeout)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// answeredByAll reports whether every connected Envoy has answered what is
// served, of the given types. With no Envoy there is nobody to wait for. The caller holds
// mu.
func (s *Server) answeredByAll(kinds []string) bool {
	for _, n := range s.nodes {
		if !n.answered(s.versions, kinds) {
			return false
		}
	}
	return true
}

// trace notes that g brought what is served now, so that an answer can be
// told from one to an older push. Only the two last generations can still be
// answered usefully. The caller holds mu.
func (s *Server) trace(g *generation) {
	maps.DeleteFunc(s.source, func(_ sent, old *generation) bool { return old != s.good && old != s.latest })
	for t, v := range s.versions {
		s.source[sent{t, v}] = g
	}
}

// accept makes the latest generation the good one once it is: accepted by all
// Envoys there are, or by one if waiting for all took too long. The caller holds
// mu.
func (s *Server) accept() {
	g := s.latest
	if g == nil || g == s.good || g.nacked != nil || s.step != "" {
		return
	}
	some, all := false, true
	for _, n := range s.nodes {
		if n.accepted(s.versions, settled) {
			some = true
		} else {
			all = false
		}
	}
	if some && (all || g.relaxed) {
		s.good = g
		s.log.Info("xds configuration accepted", "version", g.version, "nodes", len(s.nodes))
		s.notify()
	}
}
