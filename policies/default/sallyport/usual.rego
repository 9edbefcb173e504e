# Most calls are of tools of which nothing more is known than who may use them:
# then lists and clearance decide, and the other topics have nothing to say. This
# says the same as asking them all, in less time. Whoever adds a topic to
# main.rego says here when it has something to say, or takes this file away.
package sallyport.usual

import data.sallyport.allowlist
import data.sallyport.classification
import data.sallyport.freeze

allowed if {
	calm
	input.direction == "to_server"
	input.tool.sensitive == false
	not data.org.servers[input.server.name]
	not data.org.tools[input.server.name][input.target.name]
	some role in input.principal.roles
	classification.cleared[input.target.data_classification][role]
	allowlist.listed
}

# calm says that there is nothing to ask of every tool.
calm if {
	freeze.off
	object.get(data.org.settings, "approvals", {}) == {}
}
