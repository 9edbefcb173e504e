# The freeze switch: while it is on, only what is known to just read passes.
package sallyport.freeze

import data.sallyport.lib

off if data.org.settings.freeze == false

allowed if off

allowed if input.target.kind != "tool"

allowed if reads

# reads says that the tool only reads: data.org.tools, else the registry.
reads := lib.tool.effect == "read" if {
	lib.tool.effect
} else := input.tool.read_only

deny := lib.denial("read_only", "the freeze switch is on, and the tool is not known to only read") if not allowed
