# Scopes that a tool needs, all of them, against those of the token.
package sallyport.scopes

import data.sallyport.lib

# granted are the token's scopes, and what the organisation takes them for.
granted := {scope | some scope in input.principal.scopes} | {scope |
	some given in input.principal.scopes
	some scope in data.org.settings.scope_mapping[given]
}

needed := {scope | some scope in lib.tool.scopes}

missing := needed - granted

allowed if not lib.tool.scopes

allowed if count(missing) == 0

deny := object.union(
	lib.denial("insufficient_scope", sprintf("lacks the scopes %v", [missing])),
	{"challenge": {"scopes": needed}},
) if {
	not allowed
}
