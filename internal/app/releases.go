package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/opa"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/shadow"
)

// releases are the lines of policy bundles, and how bundles compare. They outlive
// configurations.
type releases struct {
	opening  sync.Mutex // one line is opened at a time
	mu       sync.Mutex
	lines    map[string]*line // by their settings
	failed   map[string]error
	shelves  map[string]*release.Shelf
	opened   int // lines so far
	queue    *shadow.Queue
	places   int            // of queue
	canaried *shadow.Report // the candidate's, or the last one's
	shadowed *shadow.Report
}

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

// line returns the line of a configuration, with a bundle that judges.
func (r *releases) line(dir string, c terms, shadow bool) (*line, error) {
	r.opening.Lock() // a source may take its time
	defer r.opening.Unlock()
	key, err := lineKey(c, shadow)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if have := r.has(c, shadow); have != nil {
		return have, nil
	}
	n, err := r.open(dir, c, shadow)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == nil || len(r.lines) > 8 { // those of configurations that are gone
		r.lines, r.failed = make(map[string]*line), make(map[string]error)
	}
	if err != nil {
		r.failed[key] = err
		return nil, fmt.Errorf("bundle: %w", err)
	}
	r.lines[key] = n
	delete(r.failed, key)
	return n, nil
}

// why returns why the shadow's line of a configuration could not be opened.
func (r *releases) why(c terms) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := lineKey(c, true)
	if err != nil {
		return err
	}
	return r.failed[key]
}

// has returns the line of a configuration, if it was opened.
func (r *releases) has(c terms, shadow bool) *line {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := lineKey(c, shadow)
	if err != nil {
		return nil
	}
	return r.lines[key]
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

// all returns the lines that are open.
func (r *releases) all() []*line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.lines))
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func stages(c policy.Canary) []release.Stage {
	var out []release.Stage
	for _, s := range c.Stages {
		out = append(out, release.Stage{Tenants: s.Tenants, Roles: s.Roles, Percent: int(s.Percent), Decisions: uint64(s.Decisions), For: s.For})
	}
	return out
}

// fetcher is the source behind a URL.
func fetcher(c policy.Config) (release.Source, error) {
	o, err := remoteOptions(c.Bundle, c.Fetch)
	if err != nil {
		return nil, err
	}
	o.MaxReply = release.MaxArchive
	web, err := remote.New(o)
	if err != nil {
		return nil, err
	}
	return &release.HTTP{Client: web, Timeout: c.Fetch.Timeout}, nil
}

// remoteOptions says how to speak to a service.
func remoteOptions(url string, s policy.Service) (remote.Options, error) {
	o := remote.Options{URL: url}
	if s.Token != "" {
		o.Token = func() (string, error) { return secret(s.Token) }
		if _, err := o.Token(); err != nil {
			return o, fmt.Errorf("token: %w", err)
		}
	}
	if s.Certificate != "" {
		o.Certificate = func() (*tls.Certificate, error) { return keyPair(s) }
		if _, err := o.Certificate(); err != nil {
			return o, err
		}
	}
	if s.CA != "" {
		pem, err := secret(s.CA)
		if err != nil {
			return o, fmt.Errorf("ca: %w", err)
		}
		o.CA = []byte(pem)
	}
	return o, nil
}

func keyPair(s policy.Service) (*tls.Certificate, error) {
	cert, err := secret(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := secret(s.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &pair, nil
}

func bundleKeys(c policy.Config) (*opa.Keys, error) {
	if len(c.Keys) == 0 && c.Signatures == policy.SignaturesOptional || c.Bundle == "" {
		return nil, nil
	}
	k := &opa.Keys{Optional: c.Signatures == policy.SignaturesOptional, Public: make(map[string]opa.Key)}
	for _, one := range c.Keys {
		text, err := secret(one.Key)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", one.ID, err)
		}
		k.Public[one.ID] = opa.Key{PEM: text, Algorithm: one.Algorithm}
	}
	return k, nil
}

// compared returns the queue of decisions to be compared.
func (r *releases) compared(places int) *shadow.Queue {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queue == nil || r.places != places {
		r.queue, r.places = shadow.NewQueue(places), places
	}
	return r.queue
}

// report returns the report about two revisions, which a reload does not begin anew.
func (r *releases) report(at **shadow.Report, base, other string) *shadow.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *at == nil || !(*at).About(base, other) {
		*at = shadow.NewReport(base, other, time.Now())
	}
	return *at
}

// split divides callers between the live bundle and the candidate.
func (r *releases) split(d *deciders, c policy.Config) *release.Split {
	p := d.plan.Progress
	pair := &shadow.Pair{
		Base: d.live, Other: d.candidate, Queue: r.compared(c.Shadow.Queue), Sample: float64(c.Canary.Sample) / 100,
		Report: r.report(&r.canaried, d.live.Revision(), d.candidate.Revision()),
		Done: func(agree, failed, asked bool) {
			p.Compared.Add(1)
			if !agree {
				p.Disagreed.Add(1)
			}
			if asked {
				p.Asked.Add(1)
			}
			if failed {
				p.Errors.Add(1)
			}
		},
	}
	return &release.Split{Live: d.live, Candidate: d.candidate, Stage: d.plan.Of, Progress: p, Compare: pair.Note}
}
