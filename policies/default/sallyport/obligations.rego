# Conditions of access: those that data.org.tools says a tool has, and the
# approval that its registered facts ask for.
package sallyport.obligations

import data.sallyport.lib

access := object.union(plain, object.union(tenant, approval))

# plain are those that stand in the data as the gateway takes them.
default plain := {}

plain := object.filter(lib.tool, ["approval", "labels", "mask", "cap", "constrain", "set"])

default tenant := {}

# tenant puts the principal's own tenant where the tool expects one, in front of
# whatever the caller says.
tenant := {"set": array.concat(object.get(lib.tool, "set", []), [{"path": lib.tool.tenant_argument, "value": input.principal.tenant}])} if {
	lib.tool.tenant_argument
}

default approval := {}

approval := {"approval": concat(" ", reasons)} if {
	not lib.tool.approval
	count(reasons) > 0
}

# reasons are what data.org.settings.approvals says of the tool's facts.
reasons contains text if {
	some fact, text in data.org.settings.approvals
	input.tool[fact] == true
}

reasons contains text if {
	some fact, text in data.org.settings.approvals
	fact == concat("_", [input.tool.risk, "risk"])
}
