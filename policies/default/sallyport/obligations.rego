# Conditions of access that data.org.tools says a tool has.
package sallyport.obligations

import data.sallyport.lib

access := {} if {
	not lib.tool
} else := object.union(plain, tenant)

# plain are those that stand in the data as the gateway takes them.
plain := object.filter(lib.tool, ["approval", "labels", "mask", "cap", "constrain", "set"])

default tenant := {}

# tenant puts the principal's own tenant where the tool expects one, in front of
# whatever the caller says.
tenant := {"set": array.concat(object.get(lib.tool, "set", []), [{"path": lib.tool.tenant_argument, "value": input.principal.tenant}])} if {
	lib.tool.tenant_argument
}
