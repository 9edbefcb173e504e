# Data classification against clearance.
package sallyport.classification

import data.sallyport.lib

# cleared are the roles whose clearance is enough for a classification; nothing
# counts for what data.org.settings says.
cleared[class][role] if {
	some class, rank in ranks
	some role, _ in data.org.roles
	ranks[data.org.roles[role].clearance] >= rank
}

ranks := object.union({"": data.org.settings.ranks[data.org.settings.unclassified]}, data.org.settings.ranks)

# said are the classifications in data.org.tools, which count before what is
# registered.
said[kind][server][name] := data.org.tools[server][name].classification if kind := "tool"

# Lists and the like show no data, and what they show is filtered.
allowed if input.target.kind == ""

allowed if input.target.kind == "task"

allowed if {
	not said[input.target.kind][input.server.name][input.target.name]
	enough := cleared[input.target.data_classification]
	some role in input.principal.roles
	enough[role]
}

allowed if {
	enough := cleared[said[input.target.kind][input.server.name][input.target.name]]
	some role in input.principal.roles
	enough[role]
}

deny := lib.denial("policy_denied", sprintf("needs clearance for %s data", [needed])) if not allowed

needed := said[input.target.kind][input.server.name][input.target.name] if {
	said[input.target.kind][input.server.name][input.target.name]
} else := input.target.data_classification if {
	input.target.data_classification != ""
} else := data.org.settings.unclassified
