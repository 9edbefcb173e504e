package app

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/shadow"
)

// line is one source of bundles, and what becomes of them.
type line struct {
	keeper *release.Keeper
	source release.Source
	shelf  *release.Shelf // nil: in memory only
	config terms
	number int   // of those opened
	shadow bool  // its bundles are compared, and decide nothing
	lost   error // why some kept bundles are no longer good
}

// lineKey is equal for configurations under which bundles lead one life.
func lineKey(c terms, shadow bool) (string, error) {
	c.Hide, c.Deadline, c.Constraints, c.Shadow, c.Logs = false, 0, policy.Signing{}, policy.Shadow{}, policy.Logs{}
	key, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	if shadow {
		return "shadow " + string(key), nil
	}
	return string(key), nil
}

// open makes a line, and takes what its source offers now. If that is not good,
// or cannot be had, what was kept of the same source judges on.
func (r *releases) open(dir string, c terms, shadow bool) (*line, error) {
	n := &line{config: c, shadow: shadow}
	keys, err := bundleKeys(c.Config)
	if err != nil {
		return nil, err
	}
	name := c.Bundle
	switch {
	case name == "":
		name, n.source = "default", c.builtIn()
	case policy.IsURL(name):
		if n.source, err = fetcher(c.Config); err != nil {
			return nil, err
		}
	default:
		name = within(dir, name)
		n.source = release.Local{Path: name}
	}
	state, load, err := r.remembered(dir, c, n)
	if err != nil {
		return nil, err // what was rolled back or rejected must not judge for want of memory
	}
	n.keeper, n.lost = release.NewKeeper(release.Settings{
		Source: name, Keep: c.Keep, Now: time.Now, Stages: stages(c.Canary), Forward: c.Forward() && !shadow,
		Bounds: release.Bounds{Disagreement: c.Canary.MaxDisagreement, Errors: c.Canary.MaxErrors, After: uint64(c.Canary.After)},
		Open:   func(archive []byte) (release.Bundle, error) { return c.open(archive, name, keys) },
	}, state, load)
	ctx, cancel := context.WithTimeout(context.Background(), c.Fetch.Timeout)
	defer cancel()
	err = n.keeper.Offer(n.source.Fetch(ctx, n.keeper.Mark(), 0))
	if n.keeper.Plan().Live == nil {
		return nil, err
	}
	r.opened++
	n.number = r.opened
	return n, nil
}

// remembered is what a line knows from before: of the line that it takes the
// place of, or from the last run.
func (r *releases) remembered(dir string, c terms, n *line) (release.State, func(string) ([]byte, error), error) {
	if c.Store != "" {
		path := within(dir, c.Store)
		if r.shelves == nil {
			r.shelves = make(map[string]*release.Shelf)
		}
		if r.shelves[path] == nil {
			r.shelves[path] = &release.Shelf{Dir: path}
		}
		n.shelf = r.shelves[path]
	}
	var before *line
	for _, o := range r.all() {
		if o.shadow == n.shadow && o.config.Bundle == c.Bundle && o.config.Store == c.Store && o.config.Engine == c.Engine && (before == nil || o.number > before.number) {
			before = o
		}
	}
	if before != nil {
		state, archives := before.keeper.State()
		return state, func(sum string) ([]byte, error) { return archives[sum], nil }, nil
	}
	if n.shelf == nil {
		return release.State{}, nil, nil
	}
	state, err := n.shelf.Load()
	return state, n.shelf.Archive, err
}

func stages(c policy.Canary) []release.Stage {
	var out []release.Stage
	for _, s := range c.Stages {
		out = append(out, release.Stage{Tenants: s.Tenants, Roles: s.Roles, Percent: int(s.Percent), Decisions: uint64(s.Decisions), For: s.For})
	}
	return out
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// judges reports whether what the line says is what judges already.
func (l *line) judges(d policy.Decider) bool {
	has, ok := d.(*deciders)
	if !ok {
		return true // there is nothing to judge by policy
	}
	p := l.keeper.Plan()
	if l.shadow {
		w, ok := has.Decider.(*shadow.Watched)
		return ok && w.Pair.Other.Revision() == p.Live.Revision
	}
	return has.plan.Live.Revision == p.Live.Revision && has.plan.Progress == p.Progress
}
