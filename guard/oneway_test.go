package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// oneWay is a guard that knows what a host without responses means to it.
type oneWay struct {
	inspect
	err error
}

func (o oneWay) RequestsOnly() error { return o.err }

func TestAChainTellsWhichGuardsNeedResponses(t *testing.T) {
	requests := member("requests", inspect(pass))
	requests.Spec.Wants = []guard.Want{{Method: "*", Direction: mcp.ToServer}}
	shadowed := member("shadowed", inspect(pass))
	shadowed.Mode = guard.Shadow
	for name, c := range map[string]struct {
		members []guard.Member
		want    []string
	}{
		"none wants them":                  {[]guard.Member{requests}, nil},
		"one in shadow wants them":         {[]guard.Member{requests, shadowed}, nil},
		"one wants them":                   {[]guard.Member{requests, member("output", inspect(pass))}, []string{"guards.output: "}},
		"one can do without":               {[]guard.Member{member("able", oneWay{inspect: pass})}, nil},
		"one cannot, as configured":        {[]guard.Member{member("unable", oneWay{pass, errors.New("redact: edits")})}, []string{"guards.unable: redact: edits"}},
		"two want them, and both are told": {[]guard.Member{member("a", inspect(pass)), member("b", inspect(pass))}, []string{"guards.a: ", "guards.b: "}},
	} {
		t.Run(name, func(t *testing.T) {
			err := chain(t, host(), c.members...).RequestsOnly()
			if (err != nil) != (len(c.want) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not say %q", err, w)
				}
			}
		})
	}
}
