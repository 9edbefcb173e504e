package grafana

func security() Board {
	return Board{
		ID: "sallyport-security", Title: "Sallyport: security",
		About:   "What was kept out, what was found inside, who behaves unlike before, and whether anything passed without a word.",
		Choices: []Choice{{Label: "server", Metric: operations + "_count", Many: true}},
		Rows: []Row{
			{"Nothing passes unjudged", []Panel{
				{Title: "Passed without a guard's word", About: "Messages that passed although a guard failed, since the replicas started: on_error allow.", Look: Number, Unit: "short", Width: 6, Warn: 1, Alarm: 1, Queries: []Query{
					{`sum(mcp_gateway_guard_failures_total{action="allow"}) or vector(0)`, ""},
				}},
				{Title: "Guards that fail", Unit: "ops", Width: 6, Queries: []Query{{`sum by (guard, action) (rate(mcp_gateway_guard_failures_total[$__rate_interval]))`, "{{guard}}: {{action}}"}}},
				{Title: "In shadow, it would refuse", About: "What guards in shadow would have refused.", Unit: "reqps", Width: 6, Queries: []Query{{`sum by (guard, reason) (rate(mcp_gateway_guard_shadowed_total[$__rate_interval]))`, "{{guard}}: {{reason}}"}}},
				{Title: "Shadow policy", Unit: "ops", Width: 6, Queries: []Query{{`sum by (agreement) (rate(mcp_gateway_policy_shadow_decisions_total[$__rate_interval]))`, "{{agreement}}"}}},
			}},
			{"Kept out", []Panel{
				{Title: "Refusals by guard", Unit: "reqps", Queries: []Query{{`sum by (guard) (rate(mcp_gateway_decisions_total{server=~"$server", action!="allow"}[$__rate_interval]))`, "{{guard}}"}}},
				{Title: "Callers without a valid identity", Unit: "reqps", Queries: []Query{{`sum by (server) (rate(mcp_gateway_decisions_total{server=~"$server", reason="unauthenticated"}[$__rate_interval]))`, "{{server}}"}}},
				{Title: "Calls that policy does not allow", Unit: "reqps", Queries: []Query{{`sum by (server, reason) (rate(mcp_gateway_decisions_total{server=~"$server", guard="policy", action!="allow"}[$__rate_interval]))`, "{{server}}: {{reason}}"}}},
				{Title: "Secrets, personal data, injection, destinations", About: "Messages that were refused for what is in them.", Unit: "reqps", Width: 12, Queries: []Query{
					{`sum by (guard, direction) (rate(mcp_gateway_decisions_total{server=~"$server", guard=~"dlp|injection|egress|schema|normalise|catalog", action!="allow"}[$__rate_interval]))`, "{{guard}}, {{direction}}"},
				}},
				{Title: "Definitions that are held", About: "Tools that changed after they were approved, look like others, or wait for approval. `sallyport catalog list` shows them.", Unit: "short", Width: 12, Queries: []Query{{`max by (instance) (mcp_gateway_catalog_held)`, "{{instance}}"}}},
			}},
			{"Egress listeners", []Panel{
				{Title: "What goes out, by workload", Unit: "reqps", Width: 12, Queries: []Query{{`sum by (workload) (rate(mcp_gateway_egress_allowed_total[$__rate_interval])) or vector(0)`, "{{workload}}"}}},
				{Title: "What does not, by reason", Unit: "reqps", Width: 12, Queries: []Query{{`sum by (reason) (rate(mcp_gateway_egress_refused_total[$__rate_interval])) or vector(0)`, "{{reason}}"}}},
			}},
			{"Behaviour", []Panel{
				{Title: "Events", About: "Spikes, new destinations, loops, budgets, findings: the receipts with the event say who and what.", Unit: "short", Width: 12, Queries: []Query{
					{`sum by (event) (increase(mcp_gateway_events_total{server=~"$server"}[$__rate_interval]))`, "{{event}}"},
				}},
				{Title: "Events of the last day", Look: Table, Unit: "short", Width: 12, Queries: []Query{{
					// An event that is the first of its kind makes a series, which nothing increases.
					`sum by (event, guard, server) (mcp_gateway_events_total{server=~"$server"} unless mcp_gateway_events_total{server=~"$server"} offset 1d or increase(mcp_gateway_events_total{server=~"$server"}[1d])) > 0`, "",
				}}},
				{Title: "Revocations in force", Unit: "short", Width: 12, Queries: []Query{{`max(mcp_gateway_revocations)`, "entries"}}},
				{Title: "What is remembered of callers", Unit: "short", Width: 12, Queries: []Query{{`sum by (instance) (mcp_gateway_conduct_remembered)`, "{{instance}}"}}},
			}},
			{"Evidence", []Panel{
				{Title: "Receipts", Unit: "ops", Width: 12, Queries: []Query{{`sum(rate(mcp_gateway_receipts_written_total[$__rate_interval]))`, "written"}, {`sum(rate(mcp_gateway_receipts_dropped_total[$__rate_interval])) + sum(rate(mcp_gateway_receipts_failed_total[$__rate_interval]))`, "lost"}}},
				{Title: "Receipts that wait for a sink", Unit: "short", Queries: []Query{{`sum by (sink) (mcp_gateway_sink_lag)`, "{{sink}}"}}},
				{Title: "Age of the oldest that waits", Unit: "s", Queries: []Query{{`max by (sink) (mcp_gateway_sink_lag_age)`, "{{sink}}"}}},
				{Title: "What sinks do not get", Unit: "short", Queries: []Query{
					{`sum by (sink) (mcp_gateway_sink_missed_total)`, "{{sink}}: missed"}, {`sum by (sink) (mcp_gateway_sink_dead_letters_total)`, "{{sink}}: dead letters"},
				}},
				{Title: "Decision logs", Unit: "ops", Width: 12, Queries: []Query{{`sum(rate(mcp_gateway_policy_logs_sent_total[$__rate_interval]))`, "sent"}, {`sum(rate(mcp_gateway_policy_logs_dropped_total[$__rate_interval]))`, "dropped"}}},
			}},
		},
	}
}
