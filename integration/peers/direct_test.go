package peers

import (
	"testing"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// Without a gateway, every client does with every server what the plan says. It
// is the baseline: a step that fails here says nothing about the gateway.
func TestEveryClientWorksWithEveryServer(t *testing.T) {
	servers := All(t)
	for _, c := range Clients() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			run := c.Start(t)
			for _, s := range servers {
				for _, era := range scenario.Eras() {
					plan, ok := Plan(c, s, era)
					if !ok {
						continue
					}
					t.Run(s.Name+"/"+string(era), func(t *testing.T) {
						steps := run(t, s.URL, plan)
						if failed := steps.Failed(); len(failed) > 0 {
							t.Errorf("failed:\n%s\nall:\n%s", failed, steps)
						}
						t.Logf("\n%s", steps)
					})
				}
			}
		})
	}
}
