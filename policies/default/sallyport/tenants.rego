# Tenants do not see each other: neither servers nor resources. The argument that
# names a tenant is in arguments.rego and obligations.rego.
package sallyport.tenants

import data.sallyport.lib

allowed if not data.org.servers[input.server.name]

allowed if {
	server_allowed
	resource_allowed
}

server_allowed if not lib.server.tenants

server_allowed if input.principal.tenant in lib.server.tenants

resource_allowed if not bound

resource_allowed if {
	input.principal.tenant != ""
	startswith(input.target.name, own)
}

# bound is about resources of a server that keeps each tenant's below a prefix.
bound if {
	lib.server.tenant_resources
	input.target.kind in {"resource", "template"}
}

own := replace(lib.server.tenant_resources, "{tenant}", input.principal.tenant)

deny := lib.denial("server_not_allowed", sprintf("the server %s is not for tenant %q", [input.server.name, input.principal.tenant])) if {
	not server_allowed
} else := lib.denial("tool_not_allowed", sprintf("the resource is not tenant %q's", [input.principal.tenant])) if not resource_allowed
