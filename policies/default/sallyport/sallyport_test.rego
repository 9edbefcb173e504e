package sallyport.tests

import data.sallyport

org := {
	"roles": {
		"anonymous": {"clearance": "public", "servers": {"lobby": [{"tools": ["hello"]}]}},
		"support": {"clearance": "internal", "servers": {
			"crm": [
				{"tools": ["search_*", "get_customer", "pay", "purge", "note"], "resources": ["crm://*"], "prompts": ["reply"], "templates": ["crm://*"]},
				{"task_types": ["refund"], "tools": ["refund"]},
			],
			"hr": [{"tools": ["*"]}],
		}},
		"auditor": {"clearance": "restricted", "servers": {"hr": [{"tools": ["*"]}], "vault": [{"tools": ["*"], "resources": ["*"]}]}},
	},
	"tools": {
		"crm": {
			"search_all": {"effect": "read", "tenant_argument": "/tenant_id", "labels": ["search"], "mask": [{"path": "/structuredContent/ssn"}]},
			"get_customer": {"effect": "read", "classification": "confidential"},
			"pay": {
				"effect": "write", "scopes": ["crm:pay", "crm:write"], "approval": "Payments need the finance desk.",
				"arguments": [
					{"path": "/amount", "max": 100, "min": 1, "except_roles": ["auditor"]},
					{"path": "/currency", "one_of": ["CHF", "EUR"], "required": true},
					{"path": "/ref", "pattern": "^[A-Z]{2}[0-9]+$"},
				],
			},
			"purge": {"effect": "write", "sensitive": true, "max_age": 60, "acr": ["mfa"]},
			"search_few": {"effect": "read", "arguments": [{"path": "/limit", "max": 50, "default": 10, "clamp": true}]},
		},
		"hr": {"raise": {"classification": "internal"}},
	},
	"servers": {
		"hr": {"tenants": ["acme"]},
		"vault": {"tenant_resources": "vault://{tenant}/", "client_requests": ["sampling/createMessage"]},
	},
	"settings": {
		"freeze": false,
		"ranks": {"public": 0, "internal": 1, "confidential": 2, "restricted": 3},
		"unclassified": "internal",
		"sensitive_max_age": 300,
		"client_requests": ["ping", "elicitation/create"],
		"scope_mapping": {"crm.all": ["crm:pay", "crm:write"]},
		"hints": {"policy_denied": "Ask the data officer."},
	},
}

base := {
	"principal": {"anonymous": false, "subject": "ann", "tenant": "acme", "roles": ["support"], "scopes": [], "task_type": "case"},
	"authentication": {"strength": "pwd", "auth_time": 1000000000000},
	"server": {"name": "crm", "owner": "team-crm", "data_classification": "internal"},
	"target": {"kind": "tool", "name": "search_x", "data_classification": "internal"},
	"tool": {
		"known": false, "data_classification": "", "risk": "", "sensitive": false, "read_only": false,
		"destructive": false, "idempotent": false, "external": false, "financial": false,
	},
	"method": "tools/call", "direction": "to_server", "kind": "request", "time": 1030000000000,
}

access(change) := d if d := sallyport.access with input as object.union(base, change) with data.org as org

call(change) := d if d := sallyport.call with input as object.union(base, change) with data.org as org

tool(name) := {"target": {"kind": "tool", "name": name}}

test_a_tool_on_the_list_is_allowed if access({}).allow

test_a_tool_on_no_list_is_not if access(tool("drop")).reason == "tool_not_allowed"

test_a_pattern_is_a_beginning_only if access(tool("research_x")).reason == "tool_not_allowed"

test_another_task_type_has_other_tools if {
	access(tool("refund")).reason == "tool_not_allowed"
	access(object.union(tool("refund"), {"principal": {"task_type": "refund"}})).allow
}

test_an_unknown_role_gives_nothing if access({"principal": {"roles": ["root"]}}).reason == "server_not_allowed"

test_nobody_has_the_role_anonymous_and_no_other if {
	lobby := {"server": {"name": "lobby"}, "target": {"name": "hello", "data_classification": "public"}, "principal": {"anonymous": true, "subject": "", "roles": ["anonymous"]}}
	access(lobby).allow
	access(object.union(lobby, {"server": {"name": "crm"}})).reason == "server_not_allowed"
}

test_a_role_claimed_to_be_anonymous_needs_nobody if {
	access({"server": {"name": "lobby"}, "principal": {"roles": ["support"]}}).reason == "server_not_allowed"
}

test_lists_and_the_like_go_with_the_server if {
	access({"method": "tools/list", "target": {"kind": "", "name": ""}}).allow
	access({"method": "tasks/get", "target": {"kind": "task", "name": "t"}}).allow
	not access({"server": {"name": "vault"}, "method": "tools/list", "target": {"kind": "", "name": ""}}).allow
}

test_prompts_resources_and_templates_have_lists if {
	access({"method": "prompts/get", "target": {"kind": "prompt", "name": "reply"}}).allow
	access({"method": "prompts/get", "target": {"kind": "prompt", "name": "search_x"}}).reason == "tool_not_allowed"
	access({"method": "resources/read", "target": {"kind": "resource", "name": "crm://a"}}).allow
	access({"method": "resources/read", "target": {"kind": "resource", "name": "file:///etc/passwd"}}).reason == "tool_not_allowed"
	access({"method": "completion/complete", "target": {"kind": "template", "name": "crm://{id}"}}).allow
}

test_a_server_of_another_tenant_is_out_of_reach if {
	hr := {"server": {"name": "hr"}, "target": {"name": "raise"}}
	access(hr).allow
	access(object.union(hr, {"principal": {"tenant": "other"}})).reason == "server_not_allowed"
	access(object.union(hr, {"principal": {"tenant": ""}})).reason == "server_not_allowed"
}

test_resources_of_another_tenant_are_out_of_reach if {
	vault := {"server": {"name": "vault"}, "principal": {"roles": ["auditor"]}, "method": "resources/read"}
	access(object.union(vault, {"target": {"kind": "resource", "name": "vault://acme/a"}})).allow
	access(object.union(vault, {"target": {"kind": "resource", "name": "vault://acmeco/a"}})).reason == "tool_not_allowed"
	access(object.union(vault, {"target": {"kind": "resource", "name": "vault:///a"}, "principal": {"tenant": "", "roles": ["auditor"]}})).reason == "tool_not_allowed"
}

test_data_above_the_clearance_is_out_of_reach if {
	d := access(tool("get_customer"))
	d.reason == "policy_denied"
	d.hint == "Ask the data officer."
	access({"target": {"data_classification": "restricted"}}).reason == "policy_denied"
	access({"target": {"data_classification": ""}}).allow
}

test_a_hint_names_the_owners if access(tool("drop")).hint == "Access is given by team-crm, who own the server crm."

test_no_owner_no_hint if not access(object.union(tool("drop"), {"server": {"owner": ""}})).hint

test_the_freeze_lets_only_reading_pass if {
	frozen := object.union(org, {"settings": {"freeze": true}})
	not_known := sallyport.access with input as base with data.org as frozen
	not_known.reason == "read_only"
	known := sallyport.access with input as object.union(base, tool("search_few")) with data.org as frozen
	known.allow
	read := sallyport.access with input as object.union(base, {"method": "resources/read", "target": {"kind": "resource", "name": "crm://a"}}) with data.org as frozen
	read.allow
}

registered(facts) := {"tool": object.union({"known": true}, facts)}

test_the_freeze_lets_pass_what_is_registered_to_only_read if {
	frozen := object.union(org, {"settings": {"freeze": true}})
	only_reads := registered({"read_only": true})
	d := sallyport.access with input as object.union(base, only_reads) with data.org as frozen
	d.allow
	said := object.union(frozen, {"tools": {"crm": {"search_x": {"effect": "write"}}}})
	not_taken := sallyport.access with input as object.union(base, only_reads) with data.org as said
	not_taken.reason == "read_only"
}

test_a_freeze_switch_that_is_not_there_is_on if {
	broken := object.union(object.remove(org, ["settings"]), {"settings": object.remove(org.settings, ["freeze"])})
	d := sallyport.access with input as base with data.org as broken
	d.reason == "read_only"
}

test_what_is_registered_as_sensitive_is if {
	d := access(object.union(registered({"sensitive": true}), {"authentication": {"auth_time": 1}}))
	d.reason == "reauthentication_required"
	access(registered({"sensitive": true})).allow
	said := object.union(org, {"tools": {"crm": {"search_x": {"sensitive": false}}}})
	unsaid := sallyport.access with input as object.union(base, object.union(registered({"sensitive": true}), {"authentication": {"auth_time": 1}})) with data.org as said
	unsaid.allow
}

test_facts_may_need_an_approval if {
	careful := object.union(org, {"settings": {"approvals": {"destructive": "It deletes.", "high_risk": "It is risky."}}})
	both := sallyport.access with input as object.union(base, registered({"destructive": true, "risk": "high"})) with data.org as careful
	both.obligations.approval == "It deletes. It is risky."
	neither := sallyport.access with input as object.union(base, registered({"destructive": false, "risk": "low"})) with data.org as careful
	neither.allow
	not neither.obligations.approval
	own := sallyport.access with input as object.union(base, object.union(tool("pay"), {"tool": {"known": true, "destructive": true}, "principal": {"scopes": ["crm.all"]}})) with data.org as careful
	own.obligations.approval == "Payments need the finance desk."
}

test_a_list_for_a_task_type_may_have_patterns if {
	tasks := object.union(org, {"roles": {"support": {"servers": {"crm": [{"task_types": ["refund"], "tools": ["re*"]}]}}}})
	refund := sallyport.access with input as object.union(base, object.union(tool("refund"), {"principal": {"task_type": "refund"}})) with data.org as tasks
	refund.allow
	other := sallyport.access with input as object.union(base, tool("refund")) with data.org as tasks
	other.reason == "tool_not_allowed"
}

test_scopes_are_needed_all_at_once if {
	d := access(object.union(tool("pay"), {"principal": {"scopes": ["crm:pay"]}}))
	d.reason == "insufficient_scope"
	d.challenge.scopes == {"crm:pay", "crm:write"}
	access(object.union(tool("pay"), {"principal": {"scopes": ["crm:pay", "crm:write"]}})).allow
	access(object.union(tool("pay"), {"principal": {"scopes": ["crm.all"]}})).allow
}

test_sensitive_tools_need_a_fresh_and_strong_login if {
	strong := object.union(tool("purge"), {"authentication": {"strength": "mfa"}})
	access(strong).allow
	access(tool("purge")).reason == "reauthentication_required"
	late := access(object.union(strong, {"time": 1061000000000}))
	late.reason == "reauthentication_required"
	late.challenge == {"max_age": 60, "acr": ["mfa"]}
	access(object.union(strong, {"authentication": {"strength": "mfa", "auth_time": 0}})).reason == "reauthentication_required"
}

test_without_a_login_time_of_its_own_the_general_one_counts if {
	changed := object.union(org, {"tools": {"crm": {"note": {"sensitive": true}}}})
	d := sallyport.access with input as object.union(base, object.union(tool("note"), {"time": 1301000000000})) with data.org as changed
	d.challenge == {"max_age": 300, "acr": []}
}

test_conditions_come_with_the_yes if {
	o := access(tool("search_all")).obligations
	o.labels == ["search"]
	o.mask == [{"path": "/structuredContent/ssn"}]
	o.set == [{"path": "/tenant_id", "value": "acme"}]
	access(object.union(tool("pay"), {"principal": {"scopes": ["crm.all"]}})).obligations.approval == "Payments need the finance desk."
	not access({}).obligations
}

pay(args) := call(object.union(tool("pay"), {"arguments": args}))

test_arguments_within_bounds if pay({"amount": 100, "currency": "CHF", "ref": "AB12"}).allow

test_arguments_out_of_bounds if {
	pay({"amount": 101, "currency": "CHF"}).reason == "argument_not_allowed"
	pay({"amount": 0, "currency": "CHF"}).reason == "argument_not_allowed"
	pay({"amount": "100", "currency": "CHF"}).reason == "argument_not_allowed"
	pay({"amount": 5}).reason == "argument_not_allowed"
	pay({"currency": "XXX"}).reason == "argument_not_allowed"
	pay({"currency": "CHF", "ref": "ab12"}).reason == "argument_not_allowed"
	pay({"currency": "CHF", "ref": 12}).reason == "argument_not_allowed"
}

test_no_arguments_at_all if call(tool("pay")).reason == "argument_not_allowed"

test_a_role_may_be_excused if {
	call(object.union(tool("pay"), {"principal": {"roles": ["auditor"]}, "arguments": {"amount": 500, "currency": "CHF"}})).allow
}

test_another_tenants_id_among_the_arguments if {
	call(object.union(tool("search_all"), {"arguments": {"tenant_id": "other"}})).reason == "argument_not_allowed"
	call(object.union(tool("search_all"), {"arguments": {"tenant_id": "acme"}})).allow
	call(object.union(tool("search_all"), {"arguments": {}})).allow
	call(object.union(tool("search_all"), {"arguments": {}, "principal": {"tenant": ""}})).reason == "argument_not_allowed"
}

test_clamped_arguments_are_cut_and_not_refused if {
	d := call(object.union(tool("search_few"), {"arguments": {"limit": 500}}))
	d.allow
	d.obligations == {"clamp": {{"path": "/limit", "max": 50, "default": 10}}}
}

test_tools_without_rules_take_any_arguments if call({"arguments": {"limit": 500}}).allow

test_servers_may_ask_only_what_is_listed if {
	ask := {"direction": "to_client", "target": {"kind": "", "name": ""}}
	access(object.union(ask, {"method": "elicitation/create"})).allow
	access(object.union(ask, {"method": "sampling/createMessage"})).reason == "policy_denied"
	vault := object.union(ask, {"server": {"name": "vault"}, "principal": {"roles": ["auditor"]}})
	access(object.union(vault, {"method": "sampling/createMessage"})).allow
	access(object.union(vault, {"method": "elicitation/create"})).reason == "policy_denied"
	access(object.union(ask, {"method": "notifications/message", "kind": "notification"})).allow
}

test_masks_are_announced if {
	sallyport.masks with data.org as org
	not sallyport.masks with data.org as object.union(org, {"tools": {"crm": {"search_all": {"mask": false}}}})
}

test_without_data_nothing_is_allowed if {
	d := sallyport.access with input as base with data.org as {}
	not d.allow
}
