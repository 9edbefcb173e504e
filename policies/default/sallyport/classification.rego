# Data classification against clearance.
package sallyport.classification

import data.sallyport.lib

# needed is what data.org.tools says of the tool, else what is registered of the
# tool or its server, else what unclassified servers count for.
needed := said[input.target.kind][input.server.name][input.target.name]

else := input.tool.data_classification if {
	input.tool.data_classification != ""
} else := input.server.data_classification if {
	input.server.data_classification != ""
} else := data.org.settings.unclassified

said.tool[server][name] := data.org.tools[server][name].classification

# cleared are the roles whose clearance is enough for a classification.
cleared[class][role] := true if {
	some class, rank in data.org.settings.ranks
	some role, _ in data.org.roles
	data.org.settings.ranks[data.org.roles[role].clearance] >= rank
}

# Lists and the like show no data, and what they show is filtered.
allowed if input.target.kind == ""

allowed if input.target.kind == "task"

allowed if {
	enough := cleared[needed]
	some role in lib.roles
	enough[role]
}

deny := lib.denial("policy_denied", sprintf("needs clearance for %s data", [needed])) if not allowed
