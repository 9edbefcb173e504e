package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// guide returns the guide's blocks, verbatim, as one configuration.
func guide(t testing.TB) []byte {
	t.Helper()
	files, err := filepath.Glob("testdata/guide/*.yaml")
	if err != nil || len(files) != 7 {
		t.Fatalf("want the guide's 7 blocks, got %d (%v)", len(files), err)
	}
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func TestTheGuidesBlocksLoadVerbatimWhereEverythingIsEnforced(t *testing.T) {
	o := options()
	o.Available = config.Capabilities{"gateway", "identity_framework", "secrets_management", "autonomy_controls", "policy_framework", "telemetry_configuration", "cost_controls"}
	text := guide(t)
	text = append(text, "listeners: [{address: 0.0.0.0:8443, tls: {spiffe: true}}]\nspiffe: {workload_api: \"unix:///run/spire/agent.sock\", trust_domains: [company.com]}\ntelemetry: {otlp: {endpoint: \"http://127.0.0.1:4317\"}}\n"...)
	c, err := config.Parse("guide.yaml", text, o)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Gateway: config.Gateway{
			Authentication: config.Authentication{Method: "mTLS + JWT", WorkloadIdentity: "SPIFFE"},
			Authorization:  config.Authorization{PolicyEngine: "OPA", DecisionCacheTTL: 5 * time.Minute},
			RateLimiting: config.RateLimiting{
				PerPrincipal: notation.Rates{{Count: 1000, Per: time.Hour}}, PerTool: notation.Rates{{Count: 100, Per: time.Hour}}, AdaptiveSurge: true,
			},
			EgressControl: config.EgressControl{
				URLAllowlist:      []notation.HostPattern{"api.company.com", "data.warehouse.internal"},
				ContentInspection: true, PIIDetection: true,
			},
		},
		Identity: config.Identity{
			WorkloadIdentity: "SPIFFE/SPIRE", TokenLifetime: notation.Range{Min: 5 * time.Minute, Max: 15 * time.Minute},
			AccessControl: "ABAC/ReBAC", PolicyStorage: "Git with signed releases", ContinuousReauth: "sensitive_actions",
		},
		Secrets: config.Secrets{
			Provider: "HashiCorp Vault", CredentialType: "dynamic", RotationFrequency: time.Hour, Scope: "per_tool",
			Encryption: "envelope_encryption_with_tenant_deks",
		},
		Autonomy: config.Autonomy{
			SandboxBudgets: config.SandboxBudgets{MaxCost: 50_000_000, MaxDuration: 30 * time.Minute, MaxToolCalls: 100},
			BoundaryControls: config.BoundaryControls{
				HumanInLoop: "external_writes", ApprovalRequired: "financial_transactions",
				EscalationThreshold: notation.Comparison{Subject: "confidence", Op: "<", Value: "0.8"},
			},
			Monitoring: config.AutonomyWatch{LoopDetection: true, ResourceMonitoring: true, AnomalyDetection: true},
		},
		PolicyMeta: config.PolicyMeta{
			Storage: "Git repository", Language: "OPA Rego / Cedar", Versioning: "Semantic versioning",
			Deployment: "GitOps with signed releases", Validation: "CI/CD policy tests", Enforcement: "Distributed PEPs",
		},
		Telemetry: config.Telemetry{
			Traces:  config.Traces{AISpans: []string{"prompt_hashes", "tool_metadata", "token_usage", "cost_tracking", "latency_percentiles"}},
			Metrics: config.Metrics{HighCardinalityLabels: []string{"tenant_id", "agent_role", "mcp_server", "data_classification"}},
			Alerts:  config.Alerts{AnomalyDetection: []string{"tool_usage_spikes", "egress_destination_changes", "token_budget_overruns"}},
		},
		CostControls: config.CostControls{
			Budgets: config.Budgets{
				PerProject:      notation.Budget{Amount: 1_000_000_000, Per: notation.PerMonth},
				PerAgentSession: 10_000_000, PerToolCall: 10_000,
			},
			Optimization: config.Optimization{EmbeddingCache: 7 * 24 * time.Hour, ResultCache: 24 * time.Hour, BatchProcessing: "off_peak_hours"},
			Monitoring:   config.CostWatch{RealTimeTracking: true, CostAttribution: "tenant_level", BudgetAlerts: 80},
		},
	}
	for _, block := range []string{"Gateway", "Identity", "Secrets", "Autonomy", "PolicyMeta", "Telemetry", "CostControls"} {
		got, want := reflect.ValueOf(*c).FieldByName(block).Interface(), reflect.ValueOf(want).FieldByName(block).Interface()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is\n%+v, want\n%+v", block, got, want)
		}
	}
}

func TestEverySettingOfTheGuideIsNamedWhenNothingEnforcesIt(t *testing.T) {
	text := guide(t)
	_, err := config.Parse("guide.yaml", text, options())
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("the error is %v, want problems", err)
	}
	for _, p := range problems {
		if !strings.Contains(p.Text, "not available in this build: nothing enforces it yet") {
			t.Errorf("the guide's own words are wrong: %v", p)
		}
	}
	settings := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if key, value, ok := strings.Cut(line, ":"); ok && value != "" && !strings.HasPrefix(line, "#") && key != "" || line == "ai_spans:" || line == "high_cardinality_labels:" || line == "anomaly_detection:" {
			settings++
		}
	}
	if len(problems) != settings {
		t.Errorf("%d problems for %d settings:\n%v", len(problems), settings, problems)
	}
}

func TestACapabilityOpensOneSettingOrOneValue(t *testing.T) {
	const text = "gateway:\n  authentication: {method: JWT}\n  authorization: {policy_engine: none}\n" +
		"  rate_limiting: {per_tool: 1/hour, per_principal: 1/hour}\n" +
		"telemetry_configuration: {traces: {ai_spans: [token_usage, prompt_hashes]}}\n"
	for _, c := range []struct {
		name   string
		opened []string
		want   []string // paths that stay closed
	}{
		{"nothing", nil, []string{"gateway.authentication.method", "gateway.rate_limiting.per_tool", "gateway.rate_limiting.per_principal", "telemetry_configuration.traces.ai_spans"}},
		{"a value", []string{"gateway.authentication.method=JWT"}, []string{"gateway.rate_limiting.per_tool", "gateway.rate_limiting.per_principal", "telemetry_configuration.traces.ai_spans"}},
		{"a setting", []string{"gateway.rate_limiting.per_tool"}, []string{"gateway.authentication.method", "gateway.rate_limiting.per_principal", "telemetry_configuration.traces.ai_spans"}},
		{"a block", []string{"gateway.rate_limiting"}, []string{"gateway.authentication.method", "telemetry_configuration.traces.ai_spans"}},
		{"a value of a list", []string{"telemetry_configuration.traces.ai_spans=token_usage"}, []string{"gateway.authentication.method", "gateway.rate_limiting.per_tool", "gateway.rate_limiting.per_principal", "telemetry_configuration.traces.ai_spans[1]"}},
		{"a name that begins alike", []string{"gateway.rate_limiting.per"}, []string{"gateway.authentication.method", "gateway.rate_limiting.per_tool", "gateway.rate_limiting.per_principal", "telemetry_configuration.traces.ai_spans"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.Available = append(o.Available, c.opened...)
			_, err := config.Parse("c.yaml", []byte(text), o)
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("the error is %v, want problems", err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, p.Path)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("closed are %q, want %q", got, c.want)
			}
		})
	}
}
