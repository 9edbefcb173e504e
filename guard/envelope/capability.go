package envelope

import (
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// offers names what a client declares when it can answer a request of the
// server's.
var offers = [...]struct{ capability, method string }{
	{"sampling", "sampling/createMessage"},
	{"elicitation", "elicitation/create"},
	{"roots", "roots/list"},
}

// withhold takes out of a client's message the capabilities whose requests the
// operator denies. A server that knows does not ask; one that asks, and whose
// request is refused on its way, waits for an answer that never comes.
func (g *envelope) withhold(x *guard.Exchange, m *mcp.Message) []mcp.Edit {
	r := &g.methods[mcp.ToClient]
	if m.Direction != mcp.ToServer || m.Kind != mcp.Request || len(r.allowed) == 0 && len(r.denied) == 0 {
		return nil
	}
	var declared string
	switch {
	case x.Revision.Modern():
		declared = "/params/_meta/io.modelcontextprotocol~1clientCapabilities/"
	case m.Method == "initialize":
		declared = "/params/capabilities/"
	default:
		return nil
	}
	var edits []mcp.Edit
	for _, o := range offers {
		if r.against(o.method, mcp.ToClient) == "" {
			continue
		}
		if _, _, ok := mcp.Locate(m.Raw, declared+o.capability); ok {
			edits = append(edits, mcp.RemoveMember(declared+o.capability))
		}
	}
	return edits
}
