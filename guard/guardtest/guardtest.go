// Package guardtest is the suite that every guard passes.
//
// A guard's own tests call it with the configurations that matter:
//
//	func TestConformance(t *testing.T) {
//		guardtest.Run(t, quota.Spec(fake),
//			guardtest.Config{Name: "tight", Set: func(c any) { c.(*quota.Config).PerHour = 1 }})
//	}
//
// guard/standard runs it for every guard of the gateway with its defaults, so
// that none can forget it. The suite checks what a guard owes its host whatever
// it decides: that it declares its reasons and documents its configuration,
// copes with every message of the protocol and with exchanges of which nothing
// is known, leaves messages and exchanges as they are, keeps nothing of them,
// answers the same question in the same way, serves many exchanges at once (run
// it with -race), gives up when its context ends, and settles without having
// been asked. What a guard decides is for its own tests, which begin with [Build],
// [Decode] and [Await].
package guardtest

import (
	"testing"

	"github.com/sallyport/sallyport/guard"
)

// Config is one configuration to try a guard with.
type Config struct {
	Name string           // of the subtest
	Set  func(config any) // changes the defaults; config is a pointer to the guard's Config
	// Varies says that the guard's answers may differ from one time to the
	// next by its nature: it counts, or asks somebody who does.
	Varies bool
}

// Run checks a guard with its defaults and with each configuration. A guard
// that is nil with a configuration, because there is nothing for it to do, is
// checked as far as that goes.
func Run(t *testing.T, spec guard.Spec, configs ...Config) {
	t.Helper()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Run("specification", func(t *testing.T) { declared(t, spec) })
	t.Run("configuration", func(t *testing.T) { documented(t, spec) })
	all := questions()
	for _, c := range append([]Config{{Name: "defaults"}}, configs...) {
		t.Run(c.Name, func(t *testing.T) {
			g := build(t, spec, c)
			if g == nil {
				return
			}
			s := suite{spec: spec, guard: g, config: c, reasons: reasons(spec), questions: all}
			t.Run("every message", s.everyMessage)
			t.Run("nothing known", s.nothingKnown)
			t.Run("nothing kept", s.nothingKept)
			t.Run("same answer again", s.sameAnswer)
			t.Run("many at once", s.manyAtOnce)
			t.Run("context", s.contextEnds)
			t.Run("settling", s.settling)
		})
	}
}

// build makes the guard as [guard.Assemble] does.
func build(t testing.TB, spec guard.Spec, c Config) guard.Guard {
	t.Helper()
	g, err := spec.Build(func(config any) error {
		if c.Set != nil {
			c.Set(config)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return g
}

// reasons are those that the guard may give.
func reasons(spec guard.Spec) map[guard.Reason]bool {
	known := make(map[guard.Reason]bool)
	for _, r := range append(guard.CoreReasons(), spec.Reasons...) {
		known[r.Reason] = true
	}
	return known
}
