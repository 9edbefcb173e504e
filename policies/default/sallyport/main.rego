# METADATA
# title: What the gateway asks
# description: >-
#   access: may this principal use this target at all? It never sees arguments.
#   call: may it be used like this, now? It is asked after a yes to access.
#   Each topic says no in its own file; a yes needs the yes of every topic.
package sallyport

import data.sallyport.allowlist
import data.sallyport.arguments
import data.sallyport.classification
import data.sallyport.flow
import data.sallyport.freeze
import data.sallyport.lib
import data.sallyport.obligations
import data.sallyport.scopes
import data.sallyport.sensitive
import data.sallyport.servers
import data.sallyport.tenants
import data.sallyport.usual

access := {"allow": true} if {
	usual.allowed
} else := {"allow": true, "obligations": obligations.access} if {
	servers.allowed
	tenants.allowed
	allowlist.allowed
	classification.allowed
	freeze.allowed
	scopes.allowed
	sensitive.allowed
} else := servers.deny if {
	servers.deny
} else := tenants.deny if {
	tenants.deny
} else := allowlist.deny if {
	allowlist.deny
} else := classification.deny if {
	classification.deny
} else := freeze.deny if {
	freeze.deny
} else := scopes.deny if {
	scopes.deny
} else := sensitive.deny if {
	sensitive.deny
} else := lib.denial("policy_denied", "no rule allows it")

call := {"allow": true} if {
	flow.nothing
	not arguments.ruled[input.server.name][input.target.name]
} else := {"allow": true, "obligations": arguments.obligations} if {
	flow.nothing
	arguments.allowed
} else := flow.deny if {
	flow.deny
} else := {"allow": true} if {
	not arguments.ruled[input.server.name][input.target.name]
	not flow.approval
} else := {"allow": true, "obligations": object.union(arguments.obligations, flow.obligations)} if {
	arguments.allowed
} else := arguments.deny if {
	arguments.deny
} else := lib.denial("policy_denied", "no rule allows it")

# masks says whether any decision masks or caps results: only then are results
# withheld whose call nobody remembers.
default masks := false

masks if data.org.tools[_][_].mask

masks if data.org.tools[_][_].cap
