package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/testenv"
)

// The gateway makes no server conform less: whatever a scenario checks comes
// out as it does directly.
func TestServersConformThroughTheGatewayAsTheyDoDirectly(t *testing.T) {
	direct := make(map[string]string)
	var list strings.Builder
	for _, s := range []peers.Server{peers.GoEverything(t, false), peers.GoEverything(t, true)} {
		direct[s.Name] = s.URL
		fmt.Fprintf(&list, "  - {name: %s, url: %q}\n", s.Name, s.URL)
	}
	g := testenv.Start(t, list.String(), "")
	for _, s := range suites() {
		t.Run(s.name, func(t *testing.T) {
			var without, with results
			var errWithout, errWith error
			var both sync.WaitGroup
			both.Go(func() { without, errWithout = s.run(t, direct[s.server]) })
			both.Go(func() { with, errWith = s.run(t, g.MCP+"/mcp/"+s.server) })
			both.Wait()
			if errWithout != nil || errWith != nil {
				t.Fatalf("directly: %v\nthrough the gateway: %v", errWithout, errWith)
			}
			t.Logf("\n%s", table(without, with))
			for _, name := range slices.Sorted(maps.Keys(without)) {
				for _, worse := range regressions(without[name], with[name]) {
					t.Errorf("%s: %s", name, worse)
				}
			}
		})
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
