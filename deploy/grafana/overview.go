package grafana

// operations counts what clients asked for, and times it.
const operations = "mcp_server_operation_duration_seconds"

func overview() Board {
	return Board{
		ID: "sallyport-overview", Title: "Sallyport: overview",
		About: "Whether the gateway serves, how it keeps to its objectives, what it decides, and what stands in its way.",
		Rows: []Row{
			{"State", []Panel{
				{Title: "Replicas that serve", Look: Number, Unit: "short", Width: 4, Queries: []Query{{`sum(mcp_gateway_ready)`, ""}}},
				{Title: "Servers", Look: Number, Unit: "short", Width: 4, Queries: []Query{{`max(mcp_gateway_servers)`, ""}}},
				{Title: "Open streams", Look: Number, Unit: "short", Width: 4, Queries: []Query{{`sum(mcp_gateway_streams_open)`, ""}}},
				{Title: "Calls", Look: Number, Unit: "reqps", Width: 4, Queries: []Query{{`sum(rate(` + operations + `_count{mcp_method_name="tools/call"}[$__rate_interval]))`, ""}}},
				{Title: "Receipts lost", About: "Since the replicas started: gaps in the audit trail.", Look: Number, Unit: "short", Width: 4, Warn: 1, Alarm: 1, Queries: []Query{
					{`sum(mcp_gateway_receipts_dropped_total) + sum(mcp_gateway_receipts_failed_total)`, ""},
				}},
				{Title: "Out of order", About: "Replicas whose configuration, policy, receipts, Redis or revocations are not as they should be. /v1/status says which.", Look: Number, Unit: "short", Width: 4, Warn: 1, Alarm: 1, Queries: []Query{
					{`count(max by (instance) ({__name__=~"mcp_gateway_(config_rejected|policy_rejected|receipts_blocked|quota_degraded|revocations_degraded)"}) == 1) or vector(0)`, ""},
				}},
			}},
			{"Objectives", []Panel{
				{Title: "Tool success, objective 99.5 %", About: "Share of tool calls that reached a server and succeeded, in the last hour. Refusals do not count.", Unit: "percentunit", Warn: 0.995, Alarm: 0.99, Queries: []Query{
					{`1 - server:sallyport_tool_failures:ratio_rate1h`, "{{server}}"},
				}},
				{Title: "Server availability, objective 99.9 %", About: "Share of requests that the server answered, in the last hour.", Unit: "percentunit", Warn: 0.999, Alarm: 0.99, Queries: []Query{
					{`1 - server:sallyport_server_failures:ratio_rate1h`, "{{server}}"},
				}},
				{Title: "Operations within 2 s, objective 95 %", About: "Of what an agent's planner waits for, in the last hour.", Unit: "percentunit", Warn: 0.95, Alarm: 0.9, Queries: []Query{
					{`1 - server:sallyport_slow_operations:ratio_rate1h`, "{{server}}"},
				}},
			}},
			{"Traffic", []Panel{
				{Title: "Operations by outcome", About: "refused is the gateway's no; upstream is a server that gave no answer; reset is a client that left.", Unit: "reqps", Width: 12, Queries: []Query{
					{`sum by (outcome) (rate(` + operations + `_count[$__rate_interval]))`, "{{outcome}}"},
				}},
				{Title: "Refusals by reason", About: "docs/reasons.md says what each means, and what to do.", Unit: "reqps", Width: 12, Queries: []Query{
					{`sum by (reason) (rate(mcp_gateway_decisions_total{action!="allow"}[$__rate_interval]))`, "{{reason}}"},
				}},
				{Title: "Time of an operation", Unit: "s", Width: 12, Queries: []Query{
					{quantile("0.5", operations, "le", ""), "p50"}, {quantile("0.95", operations, "le", ""), "p95"}, {quantile("0.99", operations, "le", ""), "p99"},
				}},
				{Title: "Time the gateway takes to judge a message", About: "Without Envoy and the way to it.", Unit: "s", Width: 12, Queries: []Query{
					{quantile("0.5", "mcp_gateway_decision_duration_seconds", "le", ""), "p50"}, {quantile("0.99", "mcp_gateway_decision_duration_seconds", "le", ""), "p99"},
				}},
			}},
			{"Behind it", []Panel{
				{Title: "Configuration", Unit: "short", Queries: []Query{
					{`sum(increase(mcp_gateway_xds_pushes_total[$__rate_interval]))`, "pushed"}, {`sum(increase(mcp_gateway_xds_nacks_total[$__rate_interval]))`, "rejected by an Envoy"},
					{`sum(increase(mcp_gateway_config_failures_total[$__rate_interval]))`, "files refused"},
				}},
				{Title: "Questions to Redis", Unit: "ops", Queries: []Query{
					{`sum(rate(mcp_gateway_quota_trips_total[$__rate_interval]))`, "quotas"}, {`sum(rate(mcp_gateway_budget_trips_total[$__rate_interval]))`, "budgets"},
					{`sum(rate(mcp_gateway_quota_failures_total[$__rate_interval])) + sum(rate(mcp_gateway_budget_failures_total[$__rate_interval]))`, "not answered"},
				}},
				{Title: "Policy decisions", Unit: "ops", Queries: []Query{
					{`sum(rate(mcp_gateway_policy_cache_hits_total[$__rate_interval]))`, "used again"}, {`sum(rate(mcp_gateway_policy_evaluations_total[$__rate_interval]))`, "made"},
					{`sum(rate(mcp_gateway_policy_failures_total[$__rate_interval]))`, "no answer"},
				}},
			}},
		},
	}
}

// quantile is a quantile of a histogram, by its labels.
func quantile(q, of, by, where string) string {
	return `histogram_quantile(` + q + `, sum by (` + by + `) (rate(` + of + `_bucket{` + where + `}[$__rate_interval])))`
}
