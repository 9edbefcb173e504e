package peers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers/scenario"
	"github.com/sallyport/sallyport/integration/testenv"
)

const serverLife = 15 * time.Minute

// Server is a running MCP server.
type Server struct {
	Name string         // a legal name of a registered server
	URL  string         // its MCP endpoint
	Eras []scenario.Era // legacy, modern or both
	plan func(modern bool) scenario.Plan
	// legacyDiscover is set when it answers server/discover, but with legacy
	// revisions only.
	legacyDiscover bool
}

// At returns the same server as reached by another URL, such as a gateway's.
func (s Server) At(url string) Server {
	s.URL = url
	return s
}

func (s Server) speaks(e scenario.Era) bool { return slices.Contains(s.Eras, e) }

func both() []scenario.Era { return []scenario.Era{scenario.Legacy, scenario.Modern} }

// Examples starts the example servers of this repository: crm, tickets, data.
func Examples(t testing.TB) []Server {
	t.Helper()
	bin := testenv.Build(t, "./examples/cmd/mcp-examples")
	cmd := exec.CommandContext(lifetime(t, serverLife), bin, "-crm", "127.0.0.1:0", "-tickets", "127.0.0.1:0", "-data", "127.0.0.1:0")
	line := start(t, cmd, func(line string) (string, bool) { return strings.CutPrefix(line, "mcp-examples ready ") })
	plans := map[string]func(bool) scenario.Plan{"crm": crmPlan, "tickets": ticketsPlan, "data": dataPlan}
	var servers []Server
	for _, field := range strings.Fields(line) {
		name, url, _ := strings.Cut(field, "=")
		servers = append(servers, Server{Name: name, URL: url, Eras: both(), plan: plans[name]})
	}
	return servers
}

// GoEverything starts the conformance server of the official Go SDK. With
// sessions it serves the legacy era only; stateless it serves both, but cannot
// ask legacy clients anything.
func GoEverything(t testing.TB, stateless bool) Server {
	t.Helper()
	bin := testenv.Build(t, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server")
	s := Server{Name: "go-stateful", Eras: []scenario.Era{scenario.Legacy}, plan: goStatefulPlan, legacyDiscover: true}
	if stateless {
		s = Server{Name: "go-stateless", Eras: both(), plan: goStatelessPlan}
	}
	addr := testenv.FreeAddress(t)
	cmd := exec.CommandContext(lifetime(t, serverLife), bin, "-http", addr, fmt.Sprintf("-stateless=%t", stateless))
	start(t, cmd, func(line string) (string, bool) { return "", strings.Contains(line, "listening at") })
	answers(t, addr) // it says so just before it listens
	s.URL = "http://" + addr + "/"
	return s
}

// Everything starts npm's @modelcontextprotocol/server-everything.
func Everything(t testing.TB) Server {
	t.Helper()
	bin, folder := node(t)
	cmd := exec.CommandContext(lifetime(t, serverLife), bin, "--require", filepath.Join(folder, "loopback.cjs"),
		filepath.Join(folder, "node_modules/@modelcontextprotocol/server-everything/dist/index.js"), "streamableHttp")
	cmd.Env = append(os.Environ(), "PORT=0")
	url := start(t, cmd, peerReady)
	return Server{Name: "node-everything", URL: url + "/mcp", Eras: []scenario.Era{scenario.Legacy}, plan: nodePlan}
}

// PythonServer starts a server of the Python SDK.
func PythonServer(t testing.TB) Server {
	t.Helper()
	bin, folder := python(t)
	cmd := exec.CommandContext(lifetime(t, serverLife), bin, filepath.Join(folder, "server.py"), "--port", "0")
	return Server{Name: "python", URL: start(t, cmd, peerReady), Eras: both(), plan: pythonPlan}
}

// All starts every server.
func All(t testing.TB) []Server {
	t.Helper()
	return append(Examples(t), GoEverything(t, true), GoEverything(t, false), Everything(t), PythonServer(t))
}

func peerReady(line string) (string, bool) { return strings.CutPrefix(line, "peer ready ") }

func answers(t testing.TB, addr string) {
	t.Helper()
	testenv.Eventually(t, startLimit, "listening on "+addr, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}
