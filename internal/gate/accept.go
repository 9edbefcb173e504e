package gate

import (
	"strings"

	"github.com/sallyport/sallyport/mcp"
)

// EventsOnly reports whether a client accepts event streams but no JSON, so
// that also a refusal with status 200 has to be an event. Clients must accept
// both (MCP, transports), and then JSON it is.
func EventsOnly(h mcp.Headers) bool {
	accept, n := h.Get("accept")
	if n != 1 || len(accept) < len("text/event-stream") {
		return false
	}
	events := false
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(part, ";")
		switch media = strings.ToLower(strings.Trim(media, " \t")); media {
		case "application/json", "application/*", "*/*":
			return false
		case "text/event-stream", "text/*":
			events = true
		}
	}
	return events
}
