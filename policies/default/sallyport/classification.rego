# Data classification against clearance.
package sallyport.classification

import data.sallyport.lib

# needed is the tool's own classification, else the server's, else what
# unclassified servers count for.
needed := lib.tool.classification if {
	lib.tool.classification
} else := input.server.data_classification if {
	input.server.data_classification != ""
} else := data.org.settings.unclassified

# Lists and the like show no data, and what they show is filtered.
allowed if input.target.kind == ""

allowed if input.target.kind == "task"

allowed if {
	some role in lib.roles
	data.org.settings.ranks[data.org.roles[role].clearance] >= data.org.settings.ranks[needed]
}

deny := lib.denial("policy_denied", sprintf("needs clearance for %s data", [needed])) if not allowed
