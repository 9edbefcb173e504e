package app

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

// What guards.surge says takes effect, or is refused.
func TestSurgesFollowTheConfiguration(t *testing.T) {
	head := "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\n"
	tail := "servers: [{name: crm, url: \"http://127.0.0.1:1/\"}]\n"
	for _, tt := range []struct {
		name, more, wrong string
		in                bool
	}{
		{"nothing", "", "", false},
		{"the guide's line", "  rate_limiting: {adaptive_surge: true}\n", "", true},
		{"with settings", "  rate_limiting: {adaptive_surge: true}\nguards: {surge: {lend: 50, tenants: [{name: acme, weight: 3}]}}\n", "", true},
		{"settings without it", "guards: {surge: {lend: 50}}\n", "adaptive_surge: true only", false},
		{"quotas that lend", "  rate_limiting: {adaptive_surge: true, per_principal: 10/hour}\nguards: {quota: {lend: 50}}\n", "", true},
		{"quotas that lend, and nobody knows when", "  rate_limiting: {per_principal: 10/hour}\nguards: {quota: {lend: 50}}\n", "which knows what servers have to do", false},
		{"a rule that lends, and nobody knows when", "guards: {quota: {rules: [{name: x, limit: 1/hour, lend: 5}]}}\n", "which knows what servers have to do", false},
		{"switched off below", "  rate_limiting: {adaptive_surge: true}\nguards: {surge: {mode: \"off\"}}\n", "nothing enforces it", false},
		{"waiting longer than the guard may", "  rate_limiting: {adaptive_surge: true}\nguards: {surge: {queue: {time: 1s}}}\n", "less than guards.surge.timeout", false},
	} {
		cfg, err := config.Parse("x.yaml", []byte(head+tt.more+tail), ConfigOptions())
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		l := new(lasting)
		s, err := l.snapshot(cfg)
		if (tt.wrong == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		in := false
		for _, m := range s.Chain.Members() {
			in = in || m.Spec.Name == "surge"
		}
		if in != tt.in {
			t.Errorf("%s: in the chain: %v", tt.name, in)
		}
	}
}
