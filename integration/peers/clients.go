package peers

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers/gosdk"
	"github.com/sallyport/sallyport/integration/peers/mcpgo"
	"github.com/sallyport/sallyport/integration/peers/scenario"
)

const clientLife = 2 * time.Minute

// Client is an SDK that can be driven through a plan.
type Client struct {
	Name string
	Eras []scenario.Era // legacy, modern or both; the first is what it speaks if it has to choose alone
	Run  func(t testing.TB, url string, p scenario.Plan) scenario.Steps
}

// Clients returns every client. One that is not installed skips the test, or
// fails it, when it is run.
func Clients() []Client {
	return []Client{
		{Name: "go-sdk", Eras: both(), Run: RunGoSDK},
		{Name: "mcp-go", Eras: both(), Run: RunMCPGo},
		{Name: "node-sdk", Eras: []scenario.Era{scenario.Legacy}, Run: func(t testing.TB, url string, p scenario.Plan) scenario.Steps { return RunNode(t, "sdk", url, p) }},
		{Name: "node-client", Eras: both(), Run: func(t testing.TB, url string, p scenario.Plan) scenario.Steps { return RunNode(t, "client", url, p) }},
		{Name: "python", Eras: both(), Run: RunPython},
	}
}

// Plan returns what client c can do with server s in an era, and false when one
// of them does not speak it. Auto means the newest era that both speak, as the
// two are to find out by themselves.
func Plan(c Client, s Server, era scenario.Era) (scenario.Plan, bool) {
	speak := func(e scenario.Era) bool { return slices.Contains(c.Eras, e) && s.speaks(e) }
	modern := era == scenario.Modern || era == scenario.Auto && speak(scenario.Modern)
	if era != scenario.Auto && !speak(era) {
		return scenario.Plan{}, false
	}
	p := s.plan(modern)
	p.Era = era
	return p, true
}

// RunGoSDK drives the official Go SDK in this process.
func RunGoSDK(t testing.TB, url string, p scenario.Plan) scenario.Steps {
	return gosdk.Run(lifetime(t, clientLife), url, p)
}

// RunMCPGo drives mark3labs/mcp-go in this process.
func RunMCPGo(t testing.TB, url string, p scenario.Plan) scenario.Steps {
	return mcpgo.Run(lifetime(t, clientLife), url, p)
}

// RunNode drives a TypeScript SDK: "sdk" is @modelcontextprotocol/sdk, "client"
// is @modelcontextprotocol/client.
func RunNode(t testing.TB, which, url string, p scenario.Plan) scenario.Steps {
	t.Helper()
	bin, folder := node(t)
	return drive(t, p, bin, filepath.Join(folder, "driver.mjs"), which, url)
}

// RunPython drives the Python SDK.
func RunPython(t testing.TB, url string, p scenario.Plan) scenario.Steps {
	t.Helper()
	bin, folder := python(t)
	return drive(t, p, bin, filepath.Join(folder, "driver.py"), url)
}

// drive runs a driver to its end and reads its report. A failed step is in the
// report; a driver that breaks fails the test.
func drive(t testing.TB, p scenario.Plan, bin string, args ...string) scenario.Steps {
	t.Helper()
	plan, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(lifetime(t, clientLife), bin, append(args, string(plan))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = stopLimit
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	var steps scenario.Steps
	for line := range strings.Lines(stdout.String()) {
		var s scenario.Step
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("peers: %s printed %q: %v", cmd, line, err)
		}
		steps = append(steps, s)
	}
	if failed := steps.Failed(); runErr != nil && len(failed) == 0 || runErr == nil && len(failed) > 0 || len(steps) == 0 {
		t.Fatalf("peers: %s: %v, with this report:\n%s\n%s", cmd, runErr, steps, stderr.String())
	}
	return steps
}
