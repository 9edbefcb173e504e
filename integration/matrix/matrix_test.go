// Package matrix takes every MCP client through the gateway, with a real Envoy,
// to every MCP server, in both eras of the protocol. What a pair can do without
// a gateway, package peers says and tests.
package matrix

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
	"github.com/sallyport/sallyport/integration/testenv"
)

// gateway is a gateway in front of servers.
type gateway struct {
	*testenv.Gateway
	servers []peers.Server // as reached through it
}

func front(t *testing.T, servers []peers.Server, more string) gateway {
	t.Helper()
	var list strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&list, "  - {name: %s, url: %q}\n", s.Name, s.URL)
	}
	g := gateway{Gateway: testenv.Start(t, list.String(), more)}
	for _, s := range servers {
		g.servers = append(g.servers, s.At(g.MCP+"/mcp/"+s.Name))
	}
	return g
}

// talk is one conversation through a gateway.
type talk struct {
	client peers.Client
	server peers.Server
	era    scenario.Era
}

// session reports whether a conversation has a session to end: legacy ones
// with all servers but the stateless one.
func (c talk) session(steps scenario.Steps) bool {
	return c.server.Name != "go-stateless" && !strings.Contains(steps.Get("connect").Detail, scenario.ModernRevision)
}

// each has every client talk to every server of g in every era that both
// speak. Clients talk side by side; each returns when all have ended.
func (g gateway) each(t *testing.T, change func(c talk, p *scenario.Plan), judge func(t *testing.T, c talk, p scenario.Plan, steps scenario.Steps)) {
	t.Run("clients", func(t *testing.T) {
		for _, client := range peers.Clients() {
			t.Run(client.Name, func(t *testing.T) {
				t.Parallel()
				run := client.Start(t)
				for _, server := range g.servers {
					for _, era := range scenario.Eras() {
						c := talk{client, server, era}
						plan, ok := peers.Plan(client, server, era)
						if !ok {
							continue
						}
						change(c, &plan)
						t.Run(server.Name+"/"+string(era), func(t *testing.T) {
							steps := run(t, server.URL, plan)
							judge(t, c, plan, steps)
							t.Logf("\n%s", steps)
						})
					}
				}
			})
		}
	})
}

// illegal is a call that every SDK sends and the gateway refuses: servers read
// such names differently, and no legal tool has one.
var illegal = scenario.Call{Name: "not a legal name", Arguments: map[string]any{}}

func TestThroughTheGateway(t *testing.T) {
	servers := peers.All(t)
	t.Run("every client works with every server", func(t *testing.T) { works(t, servers) })
	t.Run("every client reads what is denied and goes on", func(t *testing.T) { readsDenials(t, servers) })
}

// works has every client do with every server what it does without a gateway;
// what the gateway refuses, it can read, and go on.
func works(t *testing.T, servers []peers.Server) {
	g := front(t, servers, "")
	sent := newTally()
	g.each(t, func(c talk, p *scenario.Plan) { p.Refused = &illegal }, func(t *testing.T, c talk, p scenario.Plan, steps scenario.Steps) {
		if failed := steps.Failed(); len(failed) > 0 {
			t.Errorf("failed:\n%s", failed)
		}
		readable(t, steps.Get("refused"), -32602, "Invalid params")
		sent.add("refused", c.server.Name)
		if c.session(steps) {
			sent.add("closed", c.server.Name)
		}
	})
	if t.Failed() {
		return
	}
	g.receipts(t, "of every refusal", sent.of("refused"), func(r receipt) bool {
		return r.Action == "deny" && r.Reason == "invalid_params" && r.Direction == "to_server"
	})
	g.receipts(t, "of every session's end", sent.of("closed"), func(r receipt) bool {
		return r.Action == "allow" && r.Method == "transport/close"
	})
}
