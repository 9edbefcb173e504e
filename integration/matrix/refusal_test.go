package matrix

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// denied takes a request of the client's away, and one of the server's: servers
// then find the client without that capability.
const denied = "guards:\n  envelope:\n    denied_methods: [resources/list, \"to_client:sampling/createMessage\"]\n"

// readsDenials has every client do what the configuration denies: it is refused
// in words that the client can read, and the connection stays usable.
func readsDenials(t *testing.T, servers []peers.Server) {
	g := front(t, slices.DeleteFunc(slices.Clone(servers), func(s peers.Server) bool { return s.Name == "crm" || s.Name == "data" }), denied)
	sent := newTally()
	g.each(t, func(c talk, p *scenario.Plan) {
		p.Unknown, p.Slow, p.Progress, p.Elicit = "", nil, nil, nil
		if c.server.Name == "go-stateful" {
			// The conformance server asks clients that did not declare the
			// capability, which MCP forbids (2025-11-25, lifecycle, operation).
			// Refused on its way, the request stays open, and the SDK ends no
			// session, not by DELETE either, before it was answered.
			p.Sample = nil
		}
	}, func(t *testing.T, c talk, p scenario.Plan, steps scenario.Steps) {
		for _, s := range steps {
			switch s.Name {
			case "list_resources":
				readable(t, s, -32601, "not allowed here")
				sent.add(s.Name, c.server.Name)
			case "sample": // the server says in its own words that it cannot ask
				if s.OK || s.Error == nil || s.Error.Message == "" {
					t.Errorf("%s: want an error", s)
				}
			default:
				if !s.OK {
					t.Errorf("%s", s)
				}
			}
		}
	})
	if t.Failed() {
		return
	}
	g.receipts(t, "of every denied request", sent.of("list_resources"), func(r receipt) bool {
		return r.Action == "deny" && r.Reason == "method_not_allowed" && r.Direction == "to_server"
	})
}
