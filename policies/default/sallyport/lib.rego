# What all topics share.
package sallyport.lib

# tool is what the organisation knows of the tool in question.
tool := data.org.tools[input.server.name][input.target.name] if input.target.kind == "tool"

# server is what the organisation knows of the server beside its registration.
server := data.org.servers[input.server.name]

# matches compares a name with a pattern: the name itself, or its beginning
# before a *.
matches(pattern, name) if pattern == name

matches(pattern, name) if {
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}

# denial is a no, with the organisation's hint for its reason.
denial(reason, detail) := {"allow": false, "reason": reason, "detail": detail, "hint": data.org.settings.hints[reason]}

denial(reason, detail) := {"allow": false, "reason": reason, "detail": detail, "hint": contact} if {
	not data.org.settings.hints[reason]
	input.server.owner != ""
} else := {"allow": false, "reason": reason, "detail": detail} if not data.org.settings.hints[reason]

contact := sprintf("Access is given by %s, who own the server %s.", [input.server.owner, input.server.name])
