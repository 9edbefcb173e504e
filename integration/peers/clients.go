package peers

import (
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers/gosdk"
	"github.com/sallyport/sallyport/integration/peers/mcpgo"
	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// clientLife is how long one conversation may take.
const clientLife = 3 * time.Minute

// Run takes the steps of a plan against the MCP server at url.
type Run func(t testing.TB, url string, p scenario.Plan) scenario.Steps

// Client is an SDK that can be driven through plans.
type Client struct {
	Name string
	Eras []scenario.Era // legacy, modern or both
	// Start makes the client ready. It ends with t; one that is not installed
	// skips or fails t.
	Start func(t testing.TB) Run
}

// Clients returns every client.
func Clients() []Client {
	return []Client{
		{Name: "go-sdk", Eras: both(), Start: func(testing.TB) Run { return runGoSDK }},
		{Name: mcpGo, Eras: both(), Start: func(testing.TB) Run { return runMCPGo }},
		{Name: "node-sdk", Eras: []scenario.Era{scenario.Legacy}, Start: func(t testing.TB) Run { return startNode(t, "sdk") }},
		{Name: "node-client", Eras: both(), Start: func(t testing.TB) Run { return startNode(t, "client") }},
		{Name: "python", Eras: both(), Start: startPython},
	}
}

const mcpGo = "mcp-go"

// Plan returns what client c can do with server s in an era, and false when one
// of them does not speak it. Auto means the newest era that both speak, as the
// two are to find out by themselves; with a legacy server, mcp-go does not: it
// takes any answer to server/discover for consent, even one that lists only
// legacy revisions.
func Plan(c Client, s Server, era scenario.Era) (scenario.Plan, bool) {
	speak := func(e scenario.Era) bool { return slices.Contains(c.Eras, e) && s.speaks(e) }
	modern := era == scenario.Modern || era == scenario.Auto && speak(scenario.Modern)
	misled := c.Name == mcpGo && era == scenario.Auto && s.legacyDiscover
	if era != scenario.Auto && !speak(era) || misled {
		return scenario.Plan{}, false
	}
	p := s.plan(modern)
	p.Era = era
	return p, true
}

func runGoSDK(t testing.TB, url string, p scenario.Plan) scenario.Steps {
	return gosdk.Run(lifetime(t, clientLife), url, p)
}

func runMCPGo(t testing.TB, url string, p scenario.Plan) scenario.Steps {
	return mcpgo.Run(lifetime(t, clientLife), url, p)
}

// startNode drives a TypeScript SDK: "sdk" is @modelcontextprotocol/sdk,
// "client" is @modelcontextprotocol/client.
func startNode(t testing.TB, which string) Run {
	t.Helper()
	return drive(t, Node(t, "driver.mjs", which))
}

func startPython(t testing.TB) Run {
	t.Helper()
	return drive(t, Python(t, "driver.py"))
}
