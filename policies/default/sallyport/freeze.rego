# The freeze switch: while it is on, only what is known to just read passes.
package sallyport.freeze

import data.sallyport.lib

allowed if data.org.settings.freeze == false

allowed if input.target.kind != "tool"

allowed if lib.tool.effect == "read"

deny := lib.denial("read_only", "the freeze switch is on, and the tool is not known to only read") if not allowed
