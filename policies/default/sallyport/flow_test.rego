package sallyport.flow_tests

import data.sallyport

org := {"settings": {
	"ranks": {"public": 0, "internal": 1, "confidential": 2, "restricted": 3},
	"unclassified": "internal",
	"hints": {},
	"flow": {"untrusted": ["untrusted", "injection"], "approval": "It read what strangers wrote."},
}}

base := {
	"principal": {"subject": "ann", "roles": ["support"], "tenant": "acme"},
	"server": {"name": "mail", "owner": "team-mail", "data_classification": "internal"},
	"target": {"kind": "tool", "name": "send", "data_classification": "internal", "clearance": ""},
	"tool": {"known": true, "external": true, "read_only": false},
	"flow": {"labels": [], "task": [], "caller": [], "data_classification": "", "arguments": ""},
	"method": "tools/call", "direction": "to_server", "kind": "request",
}

call(change) := d if d := sallyport.call with input as object.union(base, change) with data.org as org

carries(labels, class) := {"flow": {"labels": labels, "data_classification": class}}

test_who_carries_nothing_may_write if call({}) == {"allow": true}

test_after_untrusted_content_an_external_write_needs_approval if {
	call(carries(["untrusted"], "")).obligations.approval == "It read what strangers wrote."
	call(carries(["injection", "pii"], "")).obligations.approval == "It read what strangers wrote."
}

test_other_labels_need_none if call(carries(["pii"], "")) == {"allow": true}

test_reading_needs_none if call(object.union(carries(["untrusted"], ""), {"tool": {"read_only": true}})) == {"allow": true}

test_a_write_that_stays_inside_needs_none if call(object.union(carries(["untrusted"], ""), {"tool": {"external": false}})) == {"allow": true}

test_a_tool_that_nobody_described_may_write_outside if {
	call(object.union(carries(["untrusted"], ""), {"tool": {"known": false, "external": false}})).obligations.approval
}

test_what_is_no_tool_writes_nothing if {
	call(object.union(carries(["untrusted"], ""), {"target": {"kind": "resource"}, "tool": {"known": false, "external": false}, "method": "resources/read"})) == {"allow": true}
}

test_confidential_data_does_not_leave_through_a_tool_for_internal_data if {
	d := call(carries([], "confidential"))
	d.reason == "policy_denied"
	d.hint == "You have read confidential data, and this is cleared for internal data only."
	call(carries([], "internal")) == {"allow": true}
}

test_what_is_registered_as_cleared_takes_it if {
	call(object.union(carries([], "confidential"), {"target": {"clearance": "confidential"}})) == {"allow": true}
	call(object.union(carries([], "restricted"), {"target": {"clearance": "confidential"}})).reason == "policy_denied"
	call(object.union(carries([], "internal"), {"target": {"clearance": "public"}})).reason == "policy_denied"
}

test_a_tool_is_cleared_for_data_like_its_own if {
	call(object.union(carries([], "confidential"), {"target": {"data_classification": "restricted"}})) == {"allow": true}
	call(object.union(carries([], "confidential"), {"target": {"data_classification": ""}})).reason == "policy_denied"
}

test_a_uri_carries_data_too if {
	call(object.union(carries([], "confidential"), {"target": {"kind": "resource"}, "method": "resources/read"})).reason == "policy_denied"
}

test_lists_carry_none if call(object.union(carries([], "restricted"), {"target": {"kind": ""}, "method": "tools/list"})) == {"allow": true}

test_a_server_that_asks_gets_no_more_by_its_question if {
	every method in ["response", "tasks/update"] {
		answer := {"target": {"kind": ""}, "method": method, "kind": "response"}
		call(object.union(carries([], "confidential"), answer)).reason == "policy_denied"
		call(object.union(carries([], "internal"), answer)) == {"allow": true}
	}
}

test_fields_in_the_arguments_count if {
	call({"flow": {"arguments": "restricted"}}).reason == "policy_denied"
	call({"flow": {"arguments": "internal"}}) == {"allow": true}
}

test_a_no_comes_before_an_approval if call(carries(["untrusted"], "restricted")).reason == "policy_denied"

test_rules_about_arguments_still_hold if {
	ruled := object.union(org, {"tools": {"mail": {"send": {"arguments": [{"path": "/n", "max": 5, "clamp": true}]}}}})
	d := sallyport.call with input as object.union(base, carries(["untrusted"], "")) with data.org as ruled
	d.obligations.approval
	d.obligations.clamp == {{"path": "/n", "max": 5}}
	no := object.union(org, {"tools": {"mail": {"send": {"arguments": [{"path": "/n", "required": true}]}}}})
	denied := sallyport.call with input as object.union(base, carries(["untrusted"], "")) with data.org as no
	denied.reason == "argument_not_allowed"
}

test_an_organisation_without_these_settings_is_not_asked if {
	old := {"settings": object.remove(org.settings, ["flow"])}
	d := sallyport.call with input as object.union(base, carries(["untrusted"], "")) with data.org as old
	d == {"allow": true}
}
