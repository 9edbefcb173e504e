# Role x task type x tool: what is not on a list of one of the principal's roles
# is not allowed.
package sallyport.allowlist

import data.sallyport.lib

# What has no target of its own, and tasks, which belong to whoever began them,
# are the server's to give (servers.rego).
allowed if input.target.kind == ""

allowed if input.target.kind == "task"

allowed if {
	input.target.kind == "tool"
	some role in lib.roles
	some grant in data.org.roles[role].servers[input.server.name]
	some pattern in grant.tools
	lib.matches(pattern, input.target.name)
	for_task(grant)
}

allowed if {
	input.target.kind == "prompt"
	some role in lib.roles
	some grant in data.org.roles[role].servers[input.server.name]
	some pattern in grant.prompts
	lib.matches(pattern, input.target.name)
	for_task(grant)
}

allowed if {
	input.target.kind == "resource"
	some role in lib.roles
	some grant in data.org.roles[role].servers[input.server.name]
	some pattern in grant.resources
	lib.matches(pattern, input.target.name)
	for_task(grant)
}

allowed if {
	input.target.kind == "template"
	some role in lib.roles
	some grant in data.org.roles[role].servers[input.server.name]
	some pattern in grant.templates
	lib.matches(pattern, input.target.name)
	for_task(grant)
}

for_task(grant) if not grant.task_types

for_task(grant) if input.principal.task_type in grant.task_types

deny := lib.denial("tool_not_allowed", sprintf("%s %q is on no list of the roles %v for task type %q", [input.target.kind, input.target.name, lib.roles, input.principal.task_type])) if {
	not allowed
}
