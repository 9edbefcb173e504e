package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// The types of this file are the YAML blocks of the Enterprise MCP Servers
// Guide. All of it is read and checked; which parts take effect is up to the
// capabilities of the build (see capability.go).

// Gateway is the guide's gateway block.
type Gateway struct {
	Authentication Authentication `yaml:"authentication" doc:"How callers prove who they are"`
	Authorization  Authorization  `yaml:"authorization" doc:"Who decides what callers may do"`
	RateLimiting   RateLimiting   `yaml:"rate_limiting" doc:"How often callers may call"`
	EgressControl  EgressControl  `yaml:"egress_control" doc:"Where data may go"`
}

// Authentication says how callers prove who they are.
type Authentication struct {
	Method           string `yaml:"method" oneof:"none|JWT|mTLS|mTLS + JWT" doc:"What a caller must show; none serves whoever can connect and needs loopback listeners"`
	WorkloadIdentity string `yaml:"workload_identity" oneof:"SPIFFE|SPIFFE/SPIRE" doc:"Where the identities of workloads come from"`
}

// Authorization says who decides what callers may do.
type Authorization struct {
	PolicyEngine     string        `yaml:"policy_engine" oneof:"none|OPA|Cedar" doc:"What evaluates policies; none allows every registered tool"`
	DecisionCacheTTL time.Duration `yaml:"decision_cache_ttl" min:"1ms" max:"24h" doc:"How long a decision may be used again"`
}

// RateLimiting bounds how often callers may call.
type RateLimiting struct {
	PerPrincipal  notation.Rates `yaml:"per_principal" doc:"Calls of one principal"`
	PerTool       notation.Rates `yaml:"per_tool" doc:"Calls of one tool by one principal"`
	AdaptiveSurge bool           `yaml:"adaptive_surge" doc:"Let short surges pass while servers have room"`
}

// EgressControl says where data may go.
type EgressControl struct {
	URLAllowlist      []notation.HostPattern `yaml:"url_allowlist" doc:"Hosts that URLs in calls may name"`
	ContentInspection bool                   `yaml:"content_inspection" doc:"Look for secrets and injections in content"`
	PIIDetection      bool                   `yaml:"pii_detection" doc:"Look for personal data in content"`
}

// Identity is the guide's identity_framework block.
type Identity struct {
	WorkloadIdentity string         `yaml:"workload_identity" oneof:"SPIFFE|SPIFFE/SPIRE" doc:"Where the identities of workloads come from"`
	TokenLifetime    notation.Range `yaml:"token_lifetime" doc:"Lifetimes that a token may have"`
	AccessControl    string         `yaml:"access_control" oneof:"RBAC|ABAC|ReBAC|ABAC/ReBAC" doc:"What access rules speak about: each demands that a policy decides, which sees roles, attributes and relations such as tenants and owners"`
	PolicyStorage    string         `yaml:"policy_storage" oneof:"Git repository|Git with signed releases" doc:"Where policies are kept: demands guards.policy.bundle, whose manifest names a commit; with signed releases, keys too"`
	ContinuousReauth string         `yaml:"continuous_reauth" oneof:"none|sensitive_actions|all_actions" doc:"What needs a fresh proof of identity"`
}

// Secrets is the guide's secrets_management block.
type Secrets struct {
	Provider          string        `yaml:"provider" oneof:"HashiCorp Vault" doc:"What keeps the secrets"`
	CredentialType    string        `yaml:"credential_type" oneof:"static|dynamic" doc:"Whether credentials are made for each use"`
	RotationFrequency time.Duration `yaml:"rotation_frequency" min:"1m" max:"365d" doc:"How long a credential is used"`
	Scope             string        `yaml:"scope" oneof:"per_tool|per_server" doc:"What one credential is good for"`
	Encryption        string        `yaml:"encryption" oneof:"envelope_encryption_with_tenant_deks" doc:"How secrets are encrypted at rest"`
}

// Autonomy is the guide's autonomy_controls block.
type Autonomy struct {
	SandboxBudgets   SandboxBudgets   `yaml:"sandbox_budgets" doc:"What one task of an agent may use up"`
	BoundaryControls BoundaryControls `yaml:"boundary_controls" doc:"Where a person comes in"`
	Monitoring       AutonomyWatch    `yaml:"monitoring" doc:"What is watched for"`
}

// SandboxBudgets bounds one task.
type SandboxBudgets struct {
	MaxCost      notation.Money `yaml:"max_cost" doc:"Money"`
	MaxDuration  time.Duration  `yaml:"max_duration" min:"1s" max:"30d" doc:"Time"`
	MaxToolCalls notation.Count `yaml:"max_tool_calls" doc:"Calls of tools"`
}

// BoundaryControls says where a person comes in.
type BoundaryControls struct {
	HumanInLoop         string              `yaml:"human_in_loop" oneof:"none|external_writes|financial_transactions|all_writes" doc:"Actions that a person watches"`
	ApprovalRequired    string              `yaml:"approval_required" oneof:"none|external_writes|financial_transactions|all_writes" doc:"Actions that a person must approve"`
	EscalationThreshold notation.Comparison `yaml:"escalation_threshold" doc:"When an agent's own measure brings a person in"`
}

// AutonomyWatch says what is watched for.
type AutonomyWatch struct {
	LoopDetection      bool `yaml:"loop_detection" doc:"Agents that go in circles"`
	ResourceMonitoring bool `yaml:"resource_monitoring" doc:"Use of resources"`
	AnomalyDetection   bool `yaml:"anomaly_detection" doc:"Unusual behaviour"`
}

// PolicyMeta is the guide's policy_framework block.
type PolicyMeta struct {
	Storage     string `yaml:"storage" oneof:"Git repository" doc:"Where policies are kept: demands guards.policy.bundle, whose manifest names the commit that it was built from"`
	Language    string `yaml:"language" oneof:"OPA Rego|Cedar|OPA Rego / Cedar" doc:"What policies are written in: must agree with gateway.authorization.policy_engine"`
	Versioning  string `yaml:"versioning" oneof:"Semantic versioning" doc:"How releases are numbered: a bundle without a semantic version is not taken"`
	Deployment  string `yaml:"deployment" oneof:"GitOps|GitOps with signed releases" doc:"How releases reach the gateway: demands guards.policy.bundle with a commit; signed releases demand keys, and signatures: required"`
	Validation  string `yaml:"validation" oneof:"CI/CD policy tests" doc:"What a release must pass: a bundle is taken only if its own tests pass, or its signed manifest says that they did"`
	Enforcement string `yaml:"enforcement" oneof:"Distributed PEPs" doc:"Where policies are enforced: in each gateway, so guards.policy must be in mode enforce"`
}

// Telemetry is the guide's telemetry_configuration block.
type Telemetry struct {
	Traces  Traces  `yaml:"traces" doc:"Traces"`
	Metrics Metrics `yaml:"metrics" doc:"Metrics"`
	Alerts  Alerts  `yaml:"alerts" doc:"Alerts"`
}

// Traces says what spans carry.
type Traces struct {
	AISpans []string `yaml:"ai_spans" oneof:"prompt_hashes|tool_metadata|token_usage|cost_tracking|latency_percentiles" doc:"What the spans of calls carry"`
}

// Metrics says what metrics are broken down by.
type Metrics struct {
	HighCardinalityLabels []string `yaml:"high_cardinality_labels" oneof:"tenant_id|agent_role|mcp_server|data_classification|agent|subject|tool" doc:"What the metric of operations is broken down by; see telemetry.metrics.label_sets"`
}

// Alerts says what is told to people.
type Alerts struct {
	AnomalyDetection []string `yaml:"anomaly_detection" oneof:"tool_usage_spikes|egress_destination_changes|token_budget_overruns" doc:"What raises an event for alerts (deploy/prometheus): more calls of a tool than usual, a destination that the caller never named before (both as guards.anomaly finds them, and nothing else of it unless autonomy_controls.monitoring asks), and a budget that is used up"`
}

// CostControls is the guide's cost_controls block.
type CostControls struct {
	Budgets      Budgets      `yaml:"budgets" doc:"What may be spent"`
	Optimization Optimization `yaml:"optimization" doc:"What saves money"`
	Monitoring   CostWatch    `yaml:"monitoring" doc:"What is watched"`
}

// Budgets bounds what may be spent.
type Budgets struct {
	PerProject      notation.Budget `yaml:"per_project" doc:"By one project in a period"`
	PerAgentSession notation.Money  `yaml:"per_agent_session" doc:"In one session of an agent"`
	PerToolCall     notation.Money  `yaml:"per_tool_call" doc:"By one call of a tool"`
}

// Optimization says what saves money.
type Optimization struct {
	EmbeddingCache  time.Duration `yaml:"embedding_cache" min:"1s" max:"365d" doc:"How long embeddings are kept"`
	ResultCache     time.Duration `yaml:"result_cache" min:"1s" max:"365d" doc:"How long results are kept"`
	BatchProcessing string        `yaml:"batch_processing" oneof:"immediate|off_peak_hours" doc:"When work that can wait is done"`
}

// CostWatch says how spending is watched.
type CostWatch struct {
	RealTimeTracking bool             `yaml:"real_time_tracking" doc:"Count spending as it happens"`
	CostAttribution  string           `yaml:"cost_attribution" oneof:"tenant_level|project_level|agent_level|tool_level" doc:"Whom spending is counted for"`
	BudgetAlerts     notation.Percent `yaml:"budget_alerts" doc:"Share of a budget at which somebody is told"`
}
