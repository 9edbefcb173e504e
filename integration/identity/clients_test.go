package identity

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// What each SDK tells its caller of a 401 when it has no way to get a token, in
// either era. The Python SDK tells only that there was an error, whatever the
// body says.
var told = map[string][]string{
	"go-sdk": {"unauthorized"}, "mcp-go": {"authorization required"}, "node-sdk": {"authentication is required"},
	"node-client": {"authentication is required", "requires authorization"}, "python": {"server returned an error response"},
}

// None hangs, or gets through.
func TestEverySDKFailsPlainlyWithoutAToken(t *testing.T) {
	upstream, seen := answering(t)
	g := gateway(t, newProvider(t), "  - {name: crm, url: "+upstream+"}\n")
	for _, c := range peers.Clients() {
		t.Run(c.Name, func(t *testing.T) {
			run := c.Start(t)
			for _, era := range c.Eras {
				var text string
				for _, s := range run(t, g.MCP+"/mcp/crm", scenario.Plan{Era: era, ListTools: true}) {
					if s.Error != nil { // one that connects without a request learns it later
						text += strings.ToLower(s.Error.Message)
					}
				}
				if !slices.ContainsFunc(told[c.Name], func(want string) bool { return strings.Contains(text, want) }) {
					t.Errorf("%v: it learned %q", era, text)
				}
			}
		})
	}
	if len(seen) != 0 {
		t.Errorf("%d requests without a token reached the server", len(seen))
	}
}
