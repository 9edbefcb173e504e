# Attributes of a call: what may stand in its arguments. Rules about a tool's
# arguments are in data.org.tools; paths are JSON pointers without escapes.
package sallyport.arguments

import data.sallyport.lib

# ruled are the tools for which there are rules at all.
ruled[server][name] if data.org.tools[server][name].arguments

ruled[server][name] if data.org.tools[server][name].tenant_argument

default given := {}

given := input.arguments

at(path) := object.get(given, split(trim_prefix(path, "/"), "/"), null)

# binding are the rules that bind the principal.
binding contains rule if {
	some rule in lib.tool.arguments
	not excused(rule)
}

excused(rule) if {
	some role in rule.except_roles
	role in input.principal.roles
}

violations contains sprintf("%s is required", [rule.path]) if {
	some rule in binding
	rule.required
	at(rule.path) == null
}

violations contains sprintf("%s is not one of the allowed values", [rule.path]) if {
	some rule in binding
	rule.one_of
	value := at(rule.path)
	value != null
	not value in rule.one_of
}

violations contains sprintf("%s does not have the allowed form", [rule.path]) if {
	some rule in binding
	rule.pattern
	value := at(rule.path)
	value != null
	not matches_pattern(rule.pattern, value)
}

matches_pattern(pattern, value) if {
	is_string(value)
	regex.match(pattern, value)
}

violations contains sprintf("%s is more than %v", [rule.path, rule.max]) if {
	some rule in binding
	not rule.clamp
	value := at(rule.path)
	value != null
	not at_most(value, rule)
}

violations contains sprintf("%s is less than %v", [rule.path, rule.min]) if {
	some rule in binding
	not rule.clamp
	value := at(rule.path)
	value != null
	not at_least(value, rule)
}

at_most(_, rule) if not is_number(rule.max)

at_most(value, rule) if {
	is_number(value)
	value <= rule.max
}

at_least(_, rule) if not is_number(rule.min)

at_least(value, rule) if {
	is_number(value)
	value >= rule.min
}

violations contains sprintf("%s names another tenant", [lib.tool.tenant_argument]) if {
	value := at(lib.tool.tenant_argument)
	value != null
	value != input.principal.tenant
}

violations contains "the principal has no tenant" if {
	lib.tool.tenant_argument
	input.principal.tenant == ""
}

allowed if count(violations) == 0

deny := lib.denial("argument_not_allowed", concat("; ", violations)) if not allowed

default obligations := {}

obligations := {"clamp": clamps} if count(clamps) > 0

clamps contains object.filter(rule, ["path", "min", "max", "default"]) if {
	some rule in binding
	rule.clamp
}
