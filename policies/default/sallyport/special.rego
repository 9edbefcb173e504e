# What more there is to ask than who may use a target. Whoever adds a topic to
# main.rego says here when it has something to say.
package sallyport.special

import data.sallyport.freeze

any if not input.target.kind in {"tool", "prompt"} # servers, tenants

any if not freeze.off

any if data.org.servers[input.server.name] # servers, tenants

any if data.org.tools[input.server.name][input.target.name] # scopes, sensitive, obligations

any if input.tool.sensitive

any if {
	input.tool.known
	data.org.settings.approvals != {}
}
