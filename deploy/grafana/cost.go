package grafana

func cost() Board {
	const spent = "mcp_gateway_budget_cost_total"
	return Board{
		ID: "sallyport-cost", Title: "Sallyport: cost",
		About: "What calls cost, how it goes on, and which budgets are near their end. Who spent it: `sallyport usage`.",
		Rows: []Row{
			{"Spending", []Panel{
				{Title: "Last hour", Look: Number, Unit: "currencyUSD", Width: 6, Queries: []Query{{`sum(increase(` + spent + `[1h])) / 1e6`, ""}}},
				{Title: "Last day", Look: Number, Unit: "currencyUSD", Width: 6, Queries: []Query{{`sum(increase(` + spent + `[1d])) / 1e6`, ""}}},
				{Title: "Last 30 days", Look: Number, Unit: "currencyUSD", Width: 6, Queries: []Query{{`sum(increase(` + spent + `[30d])) / 1e6`, ""}}},
				{Title: "A month at today's pace", Look: Number, Unit: "currencyUSD", Width: 6, Queries: []Query{{`sum(rate(` + spent + `[1d])) * 86400 * 30 / 1e6`, ""}}},
				{Title: "Per hour", Unit: "currencyUSD", Width: 12, Queries: []Query{{`sum(rate(` + spent + `[$__rate_interval])) * 3600 / 1e6`, "US dollars"}}},
				{Title: "Per call", Unit: "currencyUSD", Width: 12, Queries: []Query{
					{`sum(rate(` + spent + `[$__rate_interval])) / sum(rate(` + operations + `_count{mcp_method_name="tools/call", outcome!="refused"}[$__rate_interval])) / 1e6`, "US dollars"},
				}},
			}},
			{"Budgets and quotas", []Panel{
				{Title: "Refused, because a budget or quota is used up", Unit: "reqps", Width: 12, Queries: []Query{
					{`sum by (server, reason) (rate(mcp_gateway_decisions_total{reason=~"budget_exhausted|call_too_expensive|quota_exceeded"}[$__rate_interval]))`, "{{server}}: {{reason}}"},
				}},
				{Title: "Budgets nearly used up, calls over theirs", Unit: "short", Width: 12, Queries: []Query{
					{`sum by (server, event) (increase(mcp_gateway_events_total{event=~"budget_low|call_over_budget"}[$__rate_interval]))`, "{{server}}: {{event}}"},
				}},
				{Title: "Calls that wait for their turn", Unit: "short", Queries: []Query{{`sum(mcp_gateway_surge_waiting)`, "waiting"}, {`sum(increase(mcp_gateway_surge_refused_total[$__rate_interval]))`, "refused"}}},
				{Title: "Admitted without being counted", About: "on_error allow or local, while Redis could not be asked.", Unit: "reqps", Queries: []Query{
					{`sum(rate(mcp_gateway_quota_unshared_total[$__rate_interval]))`, "quotas"}, {`sum(rate(mcp_gateway_budget_unshared_total[$__rate_interval]))`, "budgets"},
				}},
				{Title: "Accounts and counters", Unit: "short", Queries: []Query{{`sum(mcp_gateway_budget_keys)`, "budgets"}, {`sum(mcp_gateway_quota_keys)`, "quotas"}}},
			}},
		},
	}
}
