package app

import (
	"reflect"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/standard"
	"github.com/sallyport/sallyport/internal/config"
)

// ConfigOptions returns what this build brings to a configuration: its guards,
// and what it can do about the guide's blocks.
func ConfigOptions() config.Options {
	o := config.Options{
		Guards: make(map[string]config.GuardSection),
		Available: config.Capabilities{
			"gateway.authentication.method=none",
			"gateway.authentication.method=JWT",
			"gateway.authentication.method=mTLS",
			"gateway.authentication.method=mTLS + JWT",
			"gateway.authentication.workload_identity",
			"identity_framework.workload_identity",
			"identity_framework.token_lifetime",
			"identity_framework.continuous_reauth",
			"gateway.authorization.policy_engine",
			"policy_framework",
			"identity_framework.access_control",
			"identity_framework.policy_storage",
			"gateway.authorization.decision_cache_ttl",
			"gateway.rate_limiting.per_principal",
			"gateway.rate_limiting.per_tool",
			"gateway.rate_limiting.adaptive_surge",
			"gateway.egress_control",
			"autonomy_controls.boundary_controls",
			"autonomy_controls.monitoring",
			"autonomy_controls.sandbox_budgets",
			"cost_controls.budgets",
			"cost_controls.monitoring",
			"telemetry_configuration.alerts",
			"telemetry_configuration.metrics",
			"telemetry_configuration.traces",
		},
	}
	for _, spec := range standard.Specs(standard.Ports{}) {
		o.Guards[spec.Name] = config.GuardSection{
			Summary:  spec.Summary,
			Defaults: spec.Config,
			Check: func(have any) error {
				_, err := spec.Build(func(into any) error {
					reflect.ValueOf(into).Elem().Set(reflect.ValueOf(have).Elem())
					return nil
				})
				return err
			},
		}
	}
	return o
}

// guardSetting translates the section of one guard.
func guardSetting(g config.Guard) guard.Setting {
	s := guard.Setting{Timeout: g.Timeout, Decode: g.Decode}
	switch g.Mode {
	case "shadow":
		s.Mode = guard.Shadow
	case "off":
		s.Mode = guard.Off
	}
	if g.OnError == "allow" {
		s.OnError = guard.Allow
	}
	return s
}

func methods(list []config.Method) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = string(m)
	}
	return out
}
