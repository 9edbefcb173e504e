package app

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/release"
)

// renew has what the lines of bundles say now judge under the configuration of
// now. Whatever else is offered waits.
func (g *Gateway) renew(now *build) error {
	g.offering.Lock()
	defer g.offering.Unlock()
	observers, err := g.observers(now.cfg)
	if err != nil {
		return err
	}
	next, err := g.lasting.snapshot(now.cfg, observers...)
	if err == nil {
		g.judges.renew(now, next)
	}
	return err
}

// watchPolicy takes new releases of the bundles when there are some. All of one
// takes effect at once, for exchanges that begin from then on.
func (g *Gateway) watchPolicy(ctx context.Context) error {
	done := make(chan struct{}, 3)
	follow := func(f func(context.Context)) {
		go func() { f(ctx); done <- struct{}{} }()
	}
	follow(func(ctx context.Context) { g.follow(ctx, g.liveLine) })
	follow(func(ctx context.Context) { g.follow(ctx, g.shadowLine) })
	follow(g.compare)
	for range cap(done) {
		<-done
	}
	return nil
}

// policyConfig returns the guard's configuration in force; false where no policy
// decides.
func (g *Gateway) policyConfig() (terms, bool) {
	now, snap := g.judges.inForce()
	c, ok := now.cfg.Guards["policy"].Config.(*policy.Config)
	if !ok || snap.Policy == nil {
		return terms{}, false
	}
	return termsOf(now.cfg, *c), true
}

// liveLine is the line of the bundle that decides; nil: there is none.
func (g *Gateway) liveLine() *line {
	c, ok := g.policyConfig()
	if !ok {
		return nil
	}
	return g.lasting.releases.has(c, false)
}

// shadowLine is the line of the shadow bundle. One that could not be had when the
// configuration was read is tried again.
func (g *Gateway) shadowLine() *line {
	c, ok := g.policyConfig()
	if !ok || c.Shadow.Bundle == "" {
		return nil
	}
	l, _ := g.lasting.releases.line(g.lasting.dir, shadowConfig(c), true)
	return l
}

const (
	look     = 250 * time.Millisecond // how often the lines are asked how they are doing
	maxPause = time.Minute            // between questions to a source that cannot be asked
)

// follow keeps up with a line, and with which line that is.
func (g *Gateway) follow(ctx context.Context, pick func() *line) {
	pause := look
	for ctx.Err() == nil {
		l := pick()
		if l == nil {
			pause = min(2*pause, 5*time.Second)
			rest(ctx, pause)
			continue
		}
		pause = look
		run, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); l.poll(run) }()
		g.attend(run, l, pick)
		cancel()
		<-done
	}
}

// attend puts in force what becomes of a line, until another one takes its place.
func (g *Gateway) attend(ctx context.Context, l *line, pick func() *line) {
	if l.lost != nil {
		g.log.Warn("kept policy bundles are no longer good", "err", l.lost)
	}
	g.apply(l)
	told := ""
	tick := time.NewTicker(look)
	defer tick.Stop()
	for ctx.Err() == nil && pick() == l {
		told = g.tell(l, told)
		select {
		case <-ctx.Done():
		case <-l.keeper.Changed():
			g.apply(l)
		case <-tick.C:
			if happened := l.keeper.Step(); happened != "" {
				g.log.Warn("policy: a step of the canary", "step", happened, "bundle", l.config.Bundle)
				g.apply(l)
			}
		}
	}
}

// tell says once when a bundle is not taken, and when all is well again.
func (g *Gateway) tell(l *line, told string) string {
	err := l.keeper.Err()
	if err == nil {
		if told != "" {
			g.log.Info("the policy bundle is good again", "bundle", l.config.Bundle)
		}
		return ""
	}
	var held *release.Held
	var away *release.Away
	text := err.Error()
	if errors.As(err, &away) {
		text = "away" // in words that differ from time to time
	}
	switch {
	case text == told:
	case errors.As(err, &held):
		g.log.Warn("a policy bundle is held back", "why", text)
	default:
		g.log.Error("the policy bundle was not taken; the last good one decides on", "bundle", l.config.Bundle, "err", err)
	}
	return text
}

// apply has what a line says now judge, and remembers it.
func (g *Gateway) apply(l *line) {
	g.applying.Lock()
	defer g.applying.Unlock()
	now, before := g.judges.inForce()
	if !l.judges(before.Policy) {
		if err := g.renew(now); err != nil {
			g.log.Error("a policy bundle was good and cannot judge; the one before decides on", "err", err)
		}
	}
	_, after := g.judges.inForce()
	b, _ := before.Policy.(*deciders)
	if a, ok := after.Policy.(*deciders); ok && b != nil {
		if was, is := b.live.Revision(), a.live.Revision(); was != is {
			g.log.Info("policy taken", "revision", is, "before", was)
		}
		if c := a.plan.Candidate; c != nil && (b.plan.Candidate == nil || b.plan.Candidate.Revision != c.Revision) {
			g.log.Info("a new policy begins its canary", "revision", c.Revision, "live", a.live.Revision())
		}
	}
	if l.shelf == nil {
		return
	}
	said := ""
	if err := l.keeper.Save(l.shelf); err != nil {
		said = err.Error()
	}
	if before := g.unsaved.Swap(&said); said != "" && (before == nil || *before != said) {
		g.log.Error("policy bundles are not kept for the next start", "err", said)
	}
}
