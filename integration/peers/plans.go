package peers

import "github.com/sallyport/sallyport/integration/peers/scenario"

// What each server can be asked. A plan says what works directly; a step that
// does not is left out, and README.md says so.

type args = map[string]any

const nobody = "no_such_tool"

func crmPlan(bool) scenario.Plan {
	return scenario.Plan{
		ListTools: true,
		Call:      &scenario.Call{Name: "search_customers", Arguments: args{"query": "mill"}, Want: "Northwind Mills"},
		Unknown:   nobody,
		Resource:  "crm://customers/C-1002",
		Prompt:    &scenario.Prompt{Name: "account_brief", Arguments: map[string]string{"id": "C-1002"}},
		Ping:      true,
	}
}

// ticketsPlan says no when asked: all clients share one server, and a ticket
// closes only once.
func ticketsPlan(bool) scenario.Plan {
	return scenario.Plan{
		ListTools: true,
		Call:      &scenario.Call{Name: "list_tickets", Arguments: args{"status": "open"}, Want: "T-3"},
		Unknown:   nobody,
		Elicit:    &scenario.Call{Name: "close_ticket", Arguments: args{"id": "T-4", "resolution": "Not now."}, Answer: args{"close": false}, Want: `"closed":false`},
		Sample:    &scenario.Call{Name: "summarise_ticket", Arguments: args{"id": "T-3"}, Want: scenario.ModelText},
		Resource:  "tickets://ticket/T-3",
		Prompt:    &scenario.Prompt{Name: "triage", Arguments: map[string]string{"id": "T-3"}},
		Ping:      true,
	}
}

func dataPlan(bool) scenario.Plan {
	return scenario.Plan{
		ListTools: true,
		Call:      &scenario.Call{Name: "query_dataset", Arguments: args{"dataset": "sales", "column": "region", "equals": "north"}, Want: `"total":36`},
		Unknown:   nobody,
		Progress:  &scenario.Call{Name: "export_dataset", Arguments: args{"dataset": "stock", "batch_rows": 5, "pause_ms": 20}, Want: "Exported 20 rows"},
		Slow:      &scenario.Call{Name: "watch_dataset", Arguments: args{"dataset": "sensors", "rows": 600, "interval_ms": 100}},
		Resource:  "data://datasets/stock/rows.csv",
		Ping:      true,
	}
}

func goPlan() scenario.Plan {
	return scenario.Plan{
		ListTools: true,
		Call:      &scenario.Call{Name: "test_simple_text", Arguments: args{}, Want: "simple text response"},
		Unknown:   nobody,
		Progress:  &scenario.Call{Name: "test_tool_with_progress", Arguments: args{}},
		Resource:  "test://static-text",
		Prompt:    &scenario.Prompt{Name: "test_prompt_with_arguments", Arguments: map[string]string{"arg1": "a", "arg2": "b"}},
		Ping:      true,
	}
}

func goStatefulPlan(bool) scenario.Plan {
	p := goPlan()
	p.Elicit = &scenario.Call{Name: "test_elicitation", Arguments: args{"message": "Who?"}, Answer: args{"username": "ana", "email": "ana@example.com"}, Want: "accept"}
	p.Sample = &scenario.Call{Name: "test_sampling", Arguments: args{"prompt": "Say something."}, Want: scenario.ModelText}
	return p
}

func goStatelessPlan(modern bool) scenario.Plan {
	p := goPlan()
	if modern { // a legacy client can only be asked within a session
		p.Elicit = &scenario.Call{Name: "test_input_required_result_elicitation", Arguments: args{}, Answer: args{"name": "ana"}, Want: "ana"}
		p.Sample = &scenario.Call{Name: "test_input_required_result_sampling", Arguments: args{}, Want: scenario.ModelText}
	}
	return p
}

func nodePlan(bool) scenario.Plan {
	return scenario.Plan{
		ListTools: true,
		Call:      &scenario.Call{Name: "echo", Arguments: args{"message": "hello"}, Want: "hello"},
		Unknown:   nobody,
		Progress:  &scenario.Call{Name: "trigger-long-running-operation", Arguments: args{"duration": 0.2, "steps": 4}, Want: "completed"},
		Elicit:    &scenario.Call{Name: "trigger-elicitation-request", Arguments: args{}, Answer: args{"name": "Ana", "check": true}, Want: "Ana"},
		Sample:    &scenario.Call{Name: "trigger-sampling-request", Arguments: args{"prompt": "Say something.", "maxTokens": 50}, Want: scenario.ModelText},
		Slow:      &scenario.Call{Name: "trigger-long-running-operation", Arguments: args{"duration": 20, "steps": 200}},
		Resource:  "demo://resource/dynamic/text/1",
		Prompt:    &scenario.Prompt{Name: "args-prompt", Arguments: map[string]string{"city": "Porto"}},
		Ping:      true,
	}
}

func pythonPlan(bool) scenario.Plan {
	return scenario.Plan{
		ListTools: true,
		Call:      &scenario.Call{Name: "echo", Arguments: args{"text": "hello"}, Want: "hello"},
		Unknown:   nobody,
		Progress:  &scenario.Call{Name: "count", Arguments: args{"to": 4, "pause_ms": 20}, Want: "counted to 4"},
		Elicit:    &scenario.Call{Name: "confirm", Arguments: args{}, Answer: args{"yes": true}, Want: "the user said True"},
		Sample:    &scenario.Call{Name: "consult", Arguments: args{}, Want: scenario.ModelText},
		Slow:      &scenario.Call{Name: "count", Arguments: args{"to": 200, "pause_ms": 100}},
		Resource:  "peer://greeting",
		Prompt:    &scenario.Prompt{Name: "greet", Arguments: map[string]string{"name": "Ana"}},
		Ping:      true,
	}
}
