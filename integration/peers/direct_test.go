package peers

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// Without a gateway, every client does with every server what the plan says. It
// is the baseline: a step that fails here says nothing about the gateway.
func TestEveryClientWorksWithEveryServer(t *testing.T) {
	servers := All(t)
	for _, c := range Clients() {
		for _, s := range servers {
			for _, era := range []scenario.Era{scenario.Auto, scenario.Legacy, scenario.Modern} {
				plan, ok := Plan(c, s, era)
				if !ok {
					continue
				}
				t.Run(strings.Join([]string{c.Name, s.Name, string(era)}, "/"), func(t *testing.T) {
					steps := c.Run(t, s.URL, plan)
					if failed := steps.Failed(); len(failed) > 0 {
						t.Errorf("failed:\n%s\nall:\n%s", failed, steps)
					}
					t.Logf("\n%s", steps)
				})
			}
		}
	}
}
