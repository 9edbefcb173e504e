package policy_test

import (
	"testing"

	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/policy"
)

func TestConformance(t *testing.T) {
	allow := &rules{access: yes}
	guardtest.Run(t, policy.Spec(source(allow)), guardtest.Config{Name: "open", Set: func(c any) { c.(*policy.Config).Hide = false }})
	guardtest.Run(t, policy.Spec(source(&rules{access: only("read")})))
	guardtest.Run(t, policy.Spec(source(&rules{access: obliged(policy.Obligations{Labels: []string{"seen"}})})))
}

func source(d policy.Decider) policy.Source {
	return func(policy.Config) (policy.Decider, error) { return d, nil }
}
