# Who may use a server at all, and what a server may ask of its clients.
package sallyport.servers

import data.sallyport.lib

allowed if {
	input.direction == "to_server"
	some role in input.principal.roles
	data.org.roles[role].servers[input.server.name]
}

allowed if {
	input.direction == "to_client"
	member
	not unasked
}

member if {
	some role in input.principal.roles
	data.org.roles[role].servers[input.server.name]
}

deny := lib.denial("server_not_allowed", sprintf("no role of the principal may use the server %s", [input.server.name])) if {
	not member
} else := lib.denial("policy_denied", sprintf("the server %s may not send %s", [input.server.name, input.method])) if {
	unasked
}

unasked if {
	input.direction == "to_client"
	input.kind == "request"
	not input.method in client_requests
}

# client_requests are the methods by which a server may ask something of its
# clients. Sampling spends the client's money and shows its context, so it is
# not among the default ones.
client_requests := lib.server.client_requests if {
	lib.server.client_requests
} else := data.org.settings.client_requests
