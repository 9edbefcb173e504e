package app

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/shadow"
	"github.com/sallyport/sallyport/mcp"
)

// checkPolicy refuses settings that would have no effect.
func checkPolicy(cfg *config.Config) error {
	section := cfg.Guards["policy"]
	own := policy.Default()
	if c, ok := section.Config.(*policy.Config); ok {
		own = *c
	}
	if cfg.Gateway.Authorization.PolicyEngine != "none" {
		if section.Mode == "off" {
			return errors.New("guards.policy: mode: off contradicts gateway.authorization.policy_engine; write policy_engine: none")
		}
		return checkFramework(cfg, own, section.Mode)
	}
	errs := []error{checkFramework(cfg, own, section.Mode)}
	if cfg.Gateway.Authorization.DecisionCacheTTL != 0 {
		errs = append(errs, errors.New("gateway.authorization.decision_cache_ttl: has no effect with policy_engine: none; remove it"))
	}
	if !reflect.DeepEqual(own, policy.Default()) {
		errs = append(errs, errors.New("guards.policy: has no effect with gateway.authorization.policy_engine: none; remove it"))
	}
	return errors.Join(errs...)
}

// deciders are what judges under one snapshot: the Decider that the guard asks,
// and what it is made of.
type deciders struct {
	policy.Decider
	live      policy.Decider
	candidate policy.Decider // nil: everybody meets live
	split     *release.Split // between the two
	plan      release.Plan
	uris      mcp.Exposure // in reports
}

// revision names the policy that a caller meets.
func (d *deciders) revision(p *guard.Principal) string {
	if d.split == nil {
		return d.live.Revision()
	}
	return d.split.For(p).Revision()
}

// policySource makes the guard's port as gateway.authorization demands.
func (l *lasting) policySource(cfg *config.Config, s *gate.Snapshot) policy.Source {
	if cfg.Gateway.Authorization.PolicyEngine == "none" {
		return nil
	}
	return func(own policy.Config) (policy.Decider, error) {
		c := termsOf(cfg, own)
		line, err := l.releases.line(l.dir, c, false)
		if err != nil {
			return nil, err
		}
		compile := func(counts *memo.Counts) func(*release.Kept) (policy.Decider, error) {
			return func(k *release.Kept) (policy.Decider, error) {
				p, err := k.Bundle.(offered).decider(cfg.Gateway.Authorization.DecisionCacheTTL, c.Deadline, counts)
				if err != nil {
					return nil, fmt.Errorf("bundle: %w", err)
				}
				return p, nil
			}
		}
		deciding := compile(&l.decided)
		d := &deciders{plan: line.keeper.Plan(), uris: cfg.Receipts.URIs.Exposure()}
		if d.live, err = deciding(d.plan.Live); err != nil {
			return nil, err
		}
		d.Decider = d.live
		if d.plan.Candidate != nil {
			if d.candidate, err = deciding(d.plan.Candidate); err != nil {
				return nil, err
			}
			d.split = l.releases.split(d, c.Config)
			d.Decider = d.split
		}
		if err := l.shade(d, c, compile(nil)); err != nil {
			return nil, err
		}
		if c.Constraints.Key != "" {
			seal, err := newSealer(c.Constraints, d.revision)
			if err != nil {
				return nil, fmt.Errorf("constraints: key: %w", err)
			}
			s.Seal = seal.seal
		}
		s.Policy = d
		return d, nil
	}
}

// shade has the shadow bundle, if there is one that is good, asked what d is asked.
func (l *lasting) shade(d *deciders, c terms, compile func(*release.Kept) (policy.Decider, error)) error {
	if c.Shadow.Bundle == "" {
		return nil
	}
	line, err := l.releases.line(l.dir, shadowConfig(c), true)
	if err != nil {
		return nil //nolint:nilerr // what is only looked at keeps nothing from serving; the status tells
	}
	other, err := compile(line.keeper.Plan().Live)
	if err != nil {
		return err
	}
	d.Decider = &shadow.Watched{Decider: d.Decider, Pair: &shadow.Pair{
		Base: d.live, Other: other, Queue: l.releases.compared(c.Shadow.Queue), Sample: float64(c.Shadow.Sample) / 100, URIs: d.uris,
		Report: l.releases.report(&l.releases.shadowed, d.live.Revision(), other.Revision()),
	}}
	return nil
}

// shadowConfig is what the line of the shadow bundle goes by.
func shadowConfig(c terms) terms {
	c.Bundle, c.Store, c.Canary, c.Keep = c.Shadow.Bundle, "", policy.Default().Canary, 2
	c.Shadow = policy.Default().Shadow
	return c
}
