package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/opa"
)

// bundle is the last good policy bundle, which outlives a bad successor.
type bundle struct {
	mu       sync.Mutex
	settings policy.Config // that it was read with
	good     *opa.Bundle
	since    time.Time
	err      error // why the bundle as it is now is not in force
}

// checkPolicy refuses settings that would have no effect.
func checkPolicy(cfg *config.Config) error {
	section := cfg.Guards["policy"]
	if cfg.Gateway.Authorization.PolicyEngine != "none" {
		if section.Mode == "off" {
			return errors.New("guards.policy: mode: off contradicts gateway.authorization.policy_engine; write policy_engine: none")
		}
		return nil
	}
	var errs []error
	if cfg.Gateway.Authorization.DecisionCacheTTL != 0 {
		errs = append(errs, errors.New("gateway.authorization.decision_cache_ttl: has no effect with policy_engine: none; remove it"))
	}
	if c, ok := section.Config.(*policy.Config); ok && !reflect.DeepEqual(*c, policy.DefaultConfig()) {
		errs = append(errs, errors.New("guards.policy: has no effect with gateway.authorization.policy_engine: none; remove it"))
	}
	return errors.Join(errs...)
}

// policySource makes the guard's port as gateway.authorization demands.
func (l *lasting) policySource(cfg *config.Config, s *gate.Snapshot) policy.Source {
	if cfg.Gateway.Authorization.PolicyEngine != "OPA" {
		return nil
	}
	return func(c policy.Config) (policy.Decider, error) {
		b, err := l.open(c)
		if err != nil {
			return nil, err
		}
		p, err := opa.New(b, opa.Settings{CacheTTL: cfg.Gateway.Authorization.DecisionCacheTTL, Deadline: c.Deadline})
		if err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		if c.Constraints.Key != "" {
			seal, err := newSealer(c.Constraints, b.Revision())
			if err != nil {
				return nil, fmt.Errorf("constraints: key: %w", err)
			}
			s.Seal = seal.seal
		}
		l.bundle.keep(c, b)
		s.Policy = p
		return p, nil
	}
}

// open reads the bundle that c names. If that fails, the last good one of the
// same settings serves on, and the status says why.
func (l *lasting) open(c policy.Config) (*opa.Bundle, error) {
	b, err := l.read(c)
	if err == nil {
		if same := l.bundle.same(c, b); same != nil {
			return same, nil
		}
		_, err = opa.New(b, opa.Settings{Places: 1}) // a bundle that does not compile is as bad as one that cannot be read
	}
	if err == nil {
		return b, nil
	}
	if last := l.bundle.fall(c, err); last != nil {
		return last, nil
	}
	return nil, fmt.Errorf("bundle: %w", err)
}

func (l *lasting) read(c policy.Config) (*opa.Bundle, error) {
	if c.Bundle == "" {
		return opa.Default()
	}
	path := c.Bundle
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, path)
	}
	keys, err := bundleKeys(c)
	if err != nil {
		return nil, err
	}
	return opa.Load(path, keys)
}

func bundleKeys(c policy.Config) (*opa.Keys, error) {
	if len(c.Keys) == 0 && c.Signatures == policy.SignaturesOptional {
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

func secret(reference string) (string, error) {
	var ref notation.SecretRef
	if err := ref.UnmarshalText([]byte(reference)); err != nil {
		return "", err
	}
	s, err := ref.Resolve()
	if err != nil {
		return "", err
	}
	return s.Reveal(), nil
}

func (b *bundle) keep(c policy.Config, good *opa.Bundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.good == nil || b.good.Revision() != good.Revision() {
		b.since = time.Now()
	}
	if b.good != good {
		b.err = nil
	}
	b.settings, b.good = c, good
}

// same returns the bundle in force if next is no other.
func (b *bundle) same(c policy.Config, next *opa.Bundle) *opa.Bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.good == nil || b.good.Revision() != next.Revision() || b.settings.Bundle != c.Bundle {
		return nil
	}
	b.err = nil
	return b.good
}

// fall notes why the bundle is bad, and returns the last good one of c.
func (b *bundle) fall(c policy.Config, err error) *opa.Bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.good == nil || b.settings.Bundle != c.Bundle || !reflect.DeepEqual(b.settings.Keys, c.Keys) || b.settings.Signatures != c.Signatures {
		return nil
	}
	b.err = err
	return b.good
}

// renew has a new release judge under the configuration of now. Whatever else is
// offered waits.
func (g *Gateway) renew(now *build) error {
	g.offering.Lock()
	defer g.offering.Unlock()
	next, err := g.lasting.snapshot(now.cfg, g.observer(now.cfg), g.metrics, eventLog{g.log})
	if err == nil {
		g.judges.renew(now, next)
	}
	return err
}

// watchPolicy takes a new release of the bundle when there is one. All of it
// takes effect at once, for exchanges that begin from then on.
func (g *Gateway) watchPolicy(ctx context.Context) error {
	told := ""
	for {
		now, _ := g.judges.inForce()
		c, ok := now.cfg.Guards["policy"].Config.(*policy.Config)
		if !ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Poll):
		}
		now, snap := g.judges.inForce()
		live := snap.Policy
		if c, ok = now.cfg.Guards["policy"].Config.(*policy.Config); !ok || live == nil || c.Bundle == "" {
			continue
		}
		b, err := g.lasting.open(*c)
		switch {
		case err != nil: // cannot be: a bundle is in force
		case b.Revision() != live.Revision():
			if err = g.renew(now); err == nil {
				g.log.Info("policy taken", "revision", b.Revision(), "before", live.Revision())
				told = ""
				continue
			}
		default:
			err = g.lasting.bundle.problem()
		}
		switch {
		case err != nil && err.Error() != told:
			told = err.Error()
			g.log.Error("the policy bundle was not taken; the last good one decides on", "err", err)
		case err == nil && told != "":
			told = ""
			g.log.Info("the policy bundle is good again")
		}
	}
}

func (b *bundle) problem() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// PolicyStatus tells which policy decides, and why a newer one does not.
type PolicyStatus struct {
	Engine   string     `json:"engine"`
	Revision string     `json:"revision,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	Error    string     `json:"error,omitempty"` // of the bundle as it is now
	*opa.Stats
	CacheTTL string `json:"cache_ttl,omitempty"` // no cached decision is older
}

func (g *Gateway) policyStatus(snap *gate.Snapshot) PolicyStatus {
	p, ok := snap.Policy.(*opa.Policy)
	if !ok {
		return PolicyStatus{Engine: "none"}
	}
	stats := p.Stats()
	s := PolicyStatus{Engine: "OPA", Revision: p.Revision(), Stats: &stats}
	if p.CacheTTL > 0 {
		s.CacheTTL = p.CacheTTL.String()
	}
	b := &g.lasting.bundle
	b.mu.Lock()
	defer b.mu.Unlock()
	since := b.since
	s.Since = &since
	if b.err != nil {
		s.Error = b.err.Error()
	}
	return s
}
