# What a caller has read counts for what it may do next. Labels follow callers
# where guards.flow has some; elsewhere nothing here says no.
package sallyport.flow

import data.sallyport.lib

# Most callers carry nothing, and nothing more is asked.
nothing if {
	input.flow.labels == []
	input.flow.data_classification == ""
	input.flow.arguments == ""
}

# Whoever has read what strangers may have written needs a person's approval to
# write to the outside.
approval := data.org.settings.flow.approval if {
	some label in data.org.settings.flow.untrusted
	label in input.flow.labels
	external_write
}

# A tool that nobody described may do anything.
external_write if {
	input.tool.external
	not input.tool.read_only
}

external_write if {
	input.target.kind == "tool"
	not input.tool.known
}

default obligations := {}

obligations := {"approval": approval} if approval

# Data does not leave through a tool of lower clearance: neither what the caller
# has read, nor what the arguments state that they hold.
carried contains input.flow.data_classification

carried contains input.flow.arguments

too_much contains class if {
	leaves
	some class in carried
	ranks[class] > ranks[clearance]
}

leaves if input.target.kind in {"tool", "prompt", "resource", "template"}

# So do answers to what a server asks, by elicitation or sampling: it could ask
# for what no call may bring.
leaves if input.method in {"response", "tasks/update"}

ranks := data.org.settings.ranks

# A tool is cleared for data like its own, unless something else is registered.
clearance := input.target.clearance if {
	input.target.clearance != ""
} else := input.target.data_classification if {
	input.target.data_classification != ""
} else := data.org.settings.unclassified

deny := object.union(
	lib.denial("policy_denied", sprintf("flow: %s data may not go into what is cleared for %s data", [concat(", ", too_much), clearance])),
	{"hint": sprintf("You have read %s data, and this is cleared for %s data only.", [concat(" and ", too_much), clearance])},
) if {
	count(too_much) > 0
}
