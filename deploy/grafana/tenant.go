package grafana

func oneTenant() Board {
	const here = `tenant_id=~"$tenant_id"`
	return Board{
		ID: "sallyport-tenant", Title: "Sallyport: one tenant",
		About: "What a tenant's agents do and how they fare. It needs telemetry_configuration.metrics.high_cardinality_labels with tenant_id, " +
			"and shows more with agent_role and data_classification.",
		Choices: []Choice{{Label: "tenant_id", Metric: operations + "_count"}},
		Rows: []Row{
			{"How it fares", []Panel{
				{Title: "Operations", Look: Number, Unit: "reqps", Width: 6, Queries: []Query{{`sum(rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, ""}}},
				{Title: "Answered well", Look: Number, Unit: "percentunit", Width: 6, Warn: 0.95, Alarm: 0.9, Queries: []Query{
					{`sum(rate(` + operations + `_count{` + here + `, outcome="ok"}[$__rate_interval])) / sum(rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, ""},
				}},
				{Title: "Refused", Look: Number, Unit: "percentunit", Width: 6, Queries: []Query{
					{`sum(rate(` + operations + `_count{` + here + `, outcome="refused"}[$__rate_interval])) / sum(rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, ""},
				}},
				{Title: "p95", Look: Number, Unit: "s", Width: 6, Warn: 2, Alarm: 5, Queries: []Query{{quantile("0.95", operations, "le", here), ""}}},
				{Title: "By outcome", Unit: "reqps", Queries: []Query{{`sum by (outcome) (rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, "{{outcome}}"}}},
				{Title: "Why it was refused", About: "docs/reasons.md says what each means, and what to do.", Unit: "reqps", Queries: []Query{
					{`sum by (error_type) (rate(` + operations + `_count{` + here + `, outcome="refused"}[$__rate_interval]))`, "{{error_type}}"},
				}},
				{Title: "p95 by server", Unit: "s", Queries: []Query{{quantile("0.95", operations, "le, server", here), "{{server}}"}}},
			}},
			{"What it does", []Panel{
				{Title: "By server", Unit: "reqps", Queries: []Query{{`sum by (server) (rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, "{{server}}"}}},
				{Title: "By role of the agent", Unit: "reqps", Queries: []Query{{`sum by (agent_role) (rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, "{{agent_role}}"}}},
				{Title: "By classification of the data", Unit: "reqps", Queries: []Query{{`sum by (data_classification) (rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, "{{data_classification}}"}}},
			}},
		},
	}
}
