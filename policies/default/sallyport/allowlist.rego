# Role x task type x target: what is not on a list of one of the principal's
# roles is not allowed.
package sallyport.allowlist

import data.sallyport.lib

# What has no target of its own, and tasks, which belong to whoever began them,
# are the server's to give (servers.rego).
allowed if input.target.kind == ""

allowed if input.target.kind == "task"

allowed if listed

# For any task, and for the task at hand; by name, and by the beginning of names.
listed if {
	on := names[input.target.kind][input.server.name][input.target.name]
	some role in input.principal.roles
	on[role]["*"]
}

listed if {
	on := beginnings[input.target.kind][input.server.name]
	some role in input.principal.roles
	strings.any_prefix_match(input.target.name, on[role]["*"])
}

listed if {
	on := names[input.target.kind][input.server.name][input.target.name]
	some role in input.principal.roles
	on[role][input.principal.task_type]
}

listed if {
	on := beginnings[input.target.kind][input.server.name]
	some role in input.principal.roles
	strings.any_prefix_match(input.target.name, on[role][input.principal.task_type])
}

# The lists of data.org.roles, sorted by what is asked. Rules that read no input
# are worked out once, when the bundle is taken. The task * is any.
names[kind][server][name][role][task] if {
	some [kind, server, role, task, name] in entries
	not endswith(name, "*")
}

beginnings[kind][server][role][task] contains trim_suffix(pattern, "*") if {
	some [kind, server, role, task, pattern] in entries
	endswith(pattern, "*")
}

entries contains [kind, server, role, task, pattern] if {
	some role, server, i
	grant := data.org.roles[role].servers[server][i]
	some list, kind in {"tools": "tool", "prompts": "prompt", "resources": "resource", "templates": "template"}
	some pattern in grant[list]
	some task in object.get(grant, "task_types", ["*"])
}

deny := lib.denial("tool_not_allowed", sprintf("%s %q is on no list of the roles %v for task type %q", [input.target.kind, input.target.name, input.principal.roles, input.principal.task_type])) if {
	not allowed
}
