package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// limit is how long one run of a suite may take.
const limit = 3 * time.Minute

// suite is one way to run the official conformance suite.
type suite struct {
	name   string
	pkg    string // as installed under node_modules
	args   []string
	server string // the server that it is run against
}

func suites() []suite {
	const newest, old = "@modelcontextprotocol/conformance", "conformance-01"
	return []suite{
		{"2025-11-25", newest, []string{"--requirements", "2025-11-25"}, "go-stateful"},
		{"2025-11-25 without sessions", newest, []string{"--requirements", "2025-11-25"}, "go-stateless"},
		{"2026-07-28", newest, []string{"--requirements", "2026-07-28"}, "go-stateless"},
		{"0.1 all", old, []string{"--suite", "all"}, "go-stateful"},
		{"0.1 all without sessions", old, []string{"--suite", "all"}, "go-stateless"},
	}
}

// check is one assertion of a scenario, as the suite writes it to checks.json.
type check struct {
	ID           string `json:"id"`
	Status       string `json:"status"`
	ErrorMessage string `json:"errorMessage"`
}

// results are the checks by scenario.
type results map[string][]check

// command is how to start s. A suite that is not installed skips the test, or
// fails it when REQUIRE_INTEGRATION is 1.
func (s suite) command(t testing.TB) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		testenv.Missing(t, "node, version 20 or newer")
	}
	folder := filepath.Join(testenv.Root(), "integration", "peers", "node")
	main := filepath.Join(folder, "node_modules", filepath.FromSlash(s.pkg), "dist", "index.js")
	if _, err := os.Stat(main); err != nil {
		testenv.Missing(t, "the conformance suite: make peers")
	}
	return append([]string{node, "--import", filepath.Join(folder, "fs-glob.mjs"), main, "server"}, s.args...)
}

// run takes every scenario of a suite against the server at url, and keeps its
// results in out. It may run on any goroutine.
func run(command []string, url, out string) (results, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args := append(slices.Clone(command[1:]), "--url", url, "-o", out)
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	err := cmd.Run() // exit 1 is what a failed scenario makes of it
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return nil, errors.Join(err, errors.New(log.String()))
	}
	got, err := read(out)
	if err == nil && len(got) == 0 {
		err = errors.New("the suite wrote no results:\n" + log.String())
	}
	return got, err
}

// folderName is what the suite calls the folder of a scenario's results.
var folderName = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$`)

func read(out string) (results, error) {
	found, err := os.ReadDir(out)
	if err != nil {
		return nil, err
	}
	got := make(results)
	for _, f := range found {
		name := folderName.FindStringSubmatch(f.Name())
		if name == nil {
			return nil, errors.New("not the results of a scenario: " + f.Name())
		}
		raw, err := os.ReadFile(filepath.Join(out, f.Name(), "checks.json"))
		if err != nil {
			return nil, err
		}
		var checks []check
		if err := json.Unmarshal(raw, &checks); err != nil {
			return nil, err
		}
		got[strings.TrimSpace(name[1])] = checks
	}
	return got, nil
}
