package grafana

func oneServer() Board {
	const here = `server=~"$server"`
	return Board{
		ID: "sallyport-server", Title: "Sallyport: one server",
		About:   "What a server is asked, how it answers, and what is refused before it is asked.",
		Choices: []Choice{{Label: "server", Metric: operations + "_count"}},
		Rows: []Row{
			{"Answers", []Panel{
				{Title: "Availability, 1 h", Look: Number, Unit: "percentunit", Width: 6, Warn: 0.999, Alarm: 0.99, Queries: []Query{{`1 - server:sallyport_server_failures:ratio_rate1h{` + here + `}`, ""}}},
				{Title: "Tool success, 1 h", Look: Number, Unit: "percentunit", Width: 6, Warn: 0.995, Alarm: 0.99, Queries: []Query{{`1 - server:sallyport_tool_failures:ratio_rate1h{` + here + `}`, ""}}},
				{Title: "Within 2 s, 1 h", Look: Number, Unit: "percentunit", Width: 6, Warn: 0.95, Alarm: 0.9, Queries: []Query{{`1 - server:sallyport_slow_operations:ratio_rate1h{` + here + `}`, ""}}},
				{Title: "Operations", Look: Number, Unit: "reqps", Width: 6, Queries: []Query{{`sum(rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, ""}}},
				{Title: "Operations by outcome", Unit: "reqps", Queries: []Query{{`sum by (outcome) (rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, "{{outcome}}"}}},
				{Title: "What went wrong", About: "The error of each operation that was not answered well.", Unit: "reqps", Queries: []Query{
					{`sum by (outcome, error_type) (rate(` + operations + `_count{` + here + `, outcome!="ok"}[$__rate_interval]))`, "{{outcome}}: {{error_type}}"},
				}},
				{Title: "By method", Unit: "reqps", Queries: []Query{{`sum by (mcp_method_name) (rate(` + operations + `_count{` + here + `}[$__rate_interval]))`, "{{mcp_method_name}}"}}},
				{Title: "Time of an operation, by method, p95", Unit: "s", Width: 12, Queries: []Query{{quantile("0.95", operations, "le, mcp_method_name", here), "{{mcp_method_name}}"}}},
				{Title: "Time of a call", Unit: "s", Width: 12, Queries: []Query{
					{quantile("0.5", operations, "le", here+`, mcp_method_name="tools/call"`), "p50"}, {quantile("0.95", operations, "le", here+`, mcp_method_name="tools/call"`), "p95"},
					{quantile("0.99", operations, "le", here+`, mcp_method_name="tools/call"`), "p99"},
				}},
			}},
			{"Decisions", []Panel{
				{Title: "Refusals by guard and reason", Unit: "reqps", Width: 12, Queries: []Query{
					{`sum by (guard, reason) (rate(mcp_gateway_decisions_total{` + here + `, action!="allow"}[$__rate_interval]))`, "{{guard}}: {{reason}}"},
				}},
				{Title: "Events", About: "What guards found worth telling, whatever was decided.", Unit: "short", Width: 12, Queries: []Query{
					{`sum by (event) (increase(mcp_gateway_events_total{` + here + `}[$__rate_interval]))`, "{{event}}"},
				}},
			}},
		},
	}
}
