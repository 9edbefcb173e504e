# Sensitive tools need a fresh, and where it is said a stronger, authentication.
package sallyport.sensitive

import data.sallyport.lib

# A tool is sensitive if data.org.tools says so, else if it is registered so.
sensitive := lib.tool.sensitive if {
	is_boolean(lib.tool.sensitive)
} else := input.tool.sensitive

allowed if not sensitive

allowed if {
	fresh
	strong
}

default max_age := 300

max_age := lib.tool.max_age if {
	lib.tool.max_age
} else := data.org.settings.sensitive_max_age

fresh if {
	input.authentication.auth_time > 0
	input.time - input.authentication.auth_time <= max_age * 1000000000
}

strong if not lib.tool.acr

strong if input.authentication.strength in lib.tool.acr

default acr := []

acr := lib.tool.acr

deny := object.union(
	lib.denial("reauthentication_required", "the tool is sensitive, and the authentication too old or too weak"),
	{"challenge": {"max_age": max_age, "acr": acr}},
) if {
	not allowed
}
