# Role x task type x tool: what is not on a list of one of the principal's roles
# is not allowed.
package sallyport.allowlist

import data.sallyport.lib

# What has no target of its own, and tasks, which belong to whoever began them,
# are the server's to give (servers.rego).
allowed if input.target.kind in {"", "task"}

allowed if {
	some role in lib.roles
	some grant in data.org.roles[role].servers[input.server.name]
	task_allowed(grant)
	some pattern in grant[concat("", [input.target.kind, "s"])]
	lib.matches(pattern, input.target.name)
}

task_allowed(grant) if not grant.task_types

task_allowed(grant) if input.principal.task_type in grant.task_types

deny := lib.denial("tool_not_allowed", sprintf("%s %q is on no list of the roles %v for task type %q", [input.target.kind, input.target.name, lib.roles, input.principal.task_type])) if {
	not allowed
}
