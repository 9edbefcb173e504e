package app

import (
	"slices"

	"github.com/sallyport/sallyport/guard"
)

// sayAloud tells what is wide open, so that nobody finds out later.
func (g *Gateway) sayAloud() {
	if cfg := g.source.Current(); cfg.Gateway.Authentication.Method == "none" {
		g.log.Warn("authentication is off: whoever reaches the listeners is served", "gateway.authentication.method", "none")
	}
	for i, l := range g.source.Current().Egress.Listeners {
		if l.TrustedNetwork {
			g.log.Warn("whoever reaches an egress listener is its workload", "address", g.ports.egress[i].String(), "workload", l.Workload)
		}
	}
	if b := bindingStatus(g.source.Current(), g.holder.Current()); b.Why == unbound {
		g.log.Warn("ids are not bound to callers: a stolen session, event or task id works for every caller that may call the server; set guards.binding.keys")
	}
	if unpriced(g.source.Current()) {
		g.log.Warn("budgets of money have no effect: no tool has a price; write guards.budget.prices, or price where servers declare their tools")
	}
	if slices.Contains(g.source.Current().Telemetry.Alerts.AnomalyDetection, "token_budget_overruns") && !slices.ContainsFunc(g.holder.Current().Chain.Members(), func(m guard.Member) bool { return m.Spec.Name == "budget" }) {
		g.log.Warn("there is no budget that could be overrun; write cost_controls.budgets, or guards.budget", "telemetry_configuration.alerts.anomaly_detection", "token_budget_overruns")
	}
	if p := g.holder.Current().Policy; p != nil {
		g.log.Info("authorization by policy", "revision", p.Revision())
	} else {
		g.log.Warn("authorization is off: every registered tool is allowed", "gateway.authorization.policy_engine", "none")
	}
	for _, m := range g.holder.Current().Chain.Members() {
		if m.Mode != guard.Enforce || m.OnError == guard.Allow {
			g.log.Warn("a guard does not enforce", "guard", m.Spec.Name, "mode", m.Mode.String(), "on_error", m.OnError.String())
		}
	}
}
