package standard_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/standard"
)

// unchecked guards are nil without their ports and have no test of their own yet
// that runs the suite. None may be added.
var unchecked = map[string]bool{}

// Every guard of the gateway passes the suite with its defaults. One that has
// nothing to do without its ports is checked in its own folder, with fakes.
func TestEveryGuardConforms(t *testing.T) {
	for _, spec := range standard.Specs(standard.Ports{}) {
		t.Run(spec.Name, func(t *testing.T) {
			guardtest.Run(t, spec)
			g, err := spec.Build(func(any) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			switch checked := g != nil || runsSuite(t, spec.Name); {
			case !checked && !unchecked[spec.Name]:
				t.Errorf("the guard is nil without its ports; call guardtest.Run with fakes in a test of guard/%s", spec.Name)
			case checked && unchecked[spec.Name]:
				t.Errorf("%s is checked now; take it off the list", spec.Name)
			}
		})
	}
}

// runsSuite reports whether a test of the guard's folder calls the suite.
func runsSuite(t *testing.T, name string) bool {
	if name == "provenance" { // the other half of a guard
		name = "segment"
	}
	files, err := filepath.Glob(filepath.Join("..", name, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "guardtest.Run(") {
			return true
		}
	}
	return false
}

// What a configuration file cannot say would be lost in every file that is
// written from a running configuration.
func TestDefaultsSurviveAFile(t *testing.T) {
	for _, spec := range standard.Specs(standard.Ports{}) {
		text, err := yaml.Marshal(spec.Config)
		if err != nil {
			t.Errorf("%s: %v", spec.Name, err)
			continue
		}
		again := reflect.New(reflect.TypeOf(spec.Config).Elem())
		if err := yaml.Unmarshal(text, again.Interface()); err != nil {
			t.Errorf("%s: %v\n%s", spec.Name, err, text)
			continue
		}
		if second, err := yaml.Marshal(again.Interface()); err != nil || string(second) != string(text) {
			t.Errorf("%s: written as\n%s\nand read as\n%s", spec.Name, text, second)
		}
	}
}

// Names and reasons belong to one guard each.
func TestTheGuardsAssemble(t *testing.T) {
	if _, err := guard.Assemble(standard.Specs(standard.Ports{}), func(string) guard.Setting {
		return guard.Setting{Decode: func(any) error { return nil }}
	}); err != nil {
		t.Error(err)
	}
}

// Who reads labels stands behind who gives them, or the labels are for nobody.
func TestLabelsReachThoseWhoReadThem(t *testing.T) {
	at := make(map[string]int)
	for i, spec := range standard.Specs(standard.Ports{}) {
		at[spec.Name] = i
	}
	for _, order := range [][]string{{"identity", "anomaly", "policy", "escalation"}, {"policy", "loop", "quota"}, {"identity", "flow", "policy", "injection", "dlp"}, {"flow", "anomaly"}} {
		for i := 1; i < len(order); i++ {
			if at[order[i-1]] >= at[order[i]] {
				t.Errorf("%s does not stand before %s", order[i-1], order[i])
			}
		}
	}
}
