// Package conformance runs the official MCP conformance suites against a server
// directly and through the gateway, with a real Envoy.
package conformance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/testenv"
)

var update = flag.Bool("update", false, "rewrite testdata/direct")

// The gateway makes no server conform less: whatever a scenario checks comes
// out as it does directly.
func TestServersConformThroughTheGatewayAsTheyDoDirectly(t *testing.T) {
	direct := make(map[string]string)
	var list strings.Builder
	for _, stateless := range []bool{false, true} {
		// Both runs go on at once, and a server tells every subscriber what either
		// has it change: each has a server of its own.
		alone, behind := peers.GoEverything(t, stateless), peers.GoEverything(t, stateless)
		direct[alone.Name] = alone.URL
		fmt.Fprintf(&list, "  - {name: %s, url: %q}\n", behind.Name, behind.URL)
	}
	g := testenv.Start(t, list.String(), "")
	for _, s := range suites() {
		t.Run(s.name, func(t *testing.T) {
			var without, with results
			var errWithout, errWith error
			command, outWithout, outWith := s.command(t), t.TempDir(), t.TempDir()
			var both sync.WaitGroup
			both.Go(func() { without, errWithout = run(command, direct[s.server], outWithout) })
			both.Go(func() { with, errWith = run(command, g.MCP+"/mcp/"+s.server, outWith) })
			both.Wait()
			if errWithout != nil || errWith != nil {
				t.Fatalf("directly: %v\nthrough the gateway: %v", errWithout, errWith)
			}
			t.Logf("\n%s", table(without, with))
			golden(t, s.name, without)
			for _, name := range slices.Sorted(maps.Keys(without)) {
				for _, worse := range regressions(without[name], with[name]) {
					t.Errorf("%s: %s", name, worse)
				}
			}
		})
	}
}

// golden checks that a suite still finds in the server what it found before: a
// suite that runs nothing would find nothing worse.
func golden(t *testing.T, suite string, got results) {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintf(&b, "%s %s\n", name, tally(got[name]))
	}
	path := filepath.Join("testdata", "direct", strings.ReplaceAll(suite, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("directly, the suite gives\n%s\nnot %s:\n%s\n(run with -update if the suite or the server has a new version)", b.String(), path, want)
	}
}

func table(without, with results) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-52s %-12s %s\n", "scenario (passed+failed)", "direct", "gateway")
	for _, name := range slices.Sorted(maps.Keys(without)) {
		fmt.Fprintf(&b, "%-52s %-12s %s\n", name, tally(without[name]), tally(with[name]))
	}
	return b.String()
}

func tally(checks []check) string {
	passed, failed := 0, 0
	for _, c := range checks {
		switch c.Status {
		case "SUCCESS":
			passed++
		case "FAILURE":
			failed++
		}
	}
	return fmt.Sprintf("%d+%d", passed, failed)
}
