package app

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/standard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// snapshot builds what judges exchanges under cfg; observers hear of every
// decision in turn.
func (l *lasting) snapshot(cfg *config.Config, observers ...guard.Observer) (*gate.Snapshot, error) {
	s := new(gate.Snapshot)
	calls := l.leaving.memory(cfg)
	var err error
	if s.Outbound, err = l.leaving.judge(cfg, calls, l.whyEnd, slices.Clip(observers)); err != nil {
		return nil, err
	}
	if calls != nil {
		observers = append(slices.Clip(observers), calls)
	}
	return s, fill(s, cfg, l.guardPorts(cfg, s), observers...)
}

// guardPorts are what the guards get from outside under cfg; s is the snapshot
// that they are for.
func (l *lasting) guardPorts(cfg *config.Config, s *gate.Snapshot) standard.Ports {
	left := new(budget.View) // of this configuration's budgets
	return standard.Ports{
		Identity:  l.identityPort(cfg, s),
		Binding:   bindingSource(cfg, s),
		Anomaly:   l.conduct.anomaly(cfg, left.Cost),
		Policy:    l.policySource(cfg, s),
		Remaining: left.Remaining,
		Escalate:  l.conduct.escalation(cfg),
		Catalog:   l.books.ports(l.dir),
		Flow:      l.flows.ports(cfg, l.shared),
		Loop:      l.conduct.loop(cfg, l.shared),
		Quota:     l.limits.port(cfg, l.surges.idle(cfg.Gateway.RateLimiting.AdaptiveSurge)),
		Budget:    l.budgets.port(cfg, &l.limits, left),
		Surge:     l.surges.port(cfg.Gateway.RateLimiting.AdaptiveSurge),
		Egress:    l.egressPorts(cfg),
		Normalise: normalisePorts(cfg),
		Injection: injectionPorts(cfg),
		Content:   l.contentPorts(cfg),
		Schema:    l.books.schemas(cfg, l.dir, l.tasks()),
		Segment:   l.segmentPorts(cfg),
	}
}

// fill builds s with guards that have these ports.
func fill(s *gate.Snapshot, cfg *config.Config, ports standard.Ports, observers ...guard.Observer) error {
	if err := errors.Join(checkPolicy(cfg), egressEnforced(cfg), surgeEnforced(cfg), criticInTime(cfg), checkAutonomy(cfg), checkReauth(cfg)); err != nil {
		return err
	}
	specs := standard.Specs(ports)
	members, err := guard.Assemble(specs, func(name string) guard.Setting { return guardSetting(cfg.Guards[name]) })
	if err != nil {
		return err
	}
	decoder := mcp.NewDecoder(mcp.Config{
		Limits: mcp.Limits{
			Bytes: int(max(cfg.Limits.Body, cfg.Limits.Response)), Depth: cfg.Limits.Depth, Keys: cfg.Limits.Keys,
			NumberLen: cfg.Limits.NumberLength, StringIDLen: cfg.Limits.IDLength,
		},
		ExtraMethods: methods(cfg.MCP.ExtraMethods),
		AnyNames:     cfg.MCP.AnyNames,
		URIs:         cfg.Receipts.URIs.Exposure(),
	})
	host := guard.Host{Now: time.Now, Decoder: decoder, Await: gate.Await, Seal: s.Seal, AsResults: cfg.MCP.Refusals == "results", Budget: cfg.Content.Budget, OverBudget: overBudget(cfg), Stamp: stamp(s, observers), Challenge: s.Challenge, Observers: observers}
	if host.Reveals, err = reveals(); err != nil {
		return err
	}
	if s.Policy != nil {
		host.Policy = s.Policy.Revision()
		if d, ok := s.Policy.(*deciders); ok && d.split != nil {
			host.PolicyFor = d.revision
		}
	}
	chain, err := guard.New(host, members...)
	if err != nil {
		return err
	}
	s.Chain, s.Decoder, s.View = chain, decoder, cfg.View()
	s.Limits = gate.Limits{Body: int(cfg.Limits.Body), Response: int(cfg.Limits.Response), Event: int(cfg.Limits.Event), ResponseTime: cfg.Limits.ResponseTime}
	if s.RequestsOnly, err = requestsOnly(cfg.ExtAuthz.Role, chain); err != nil {
		return err
	}
	for _, r := range cfg.MCP.Revisions {
		s.Revisions = append(s.Revisions, r.Revision)
	}
	return nil
}
