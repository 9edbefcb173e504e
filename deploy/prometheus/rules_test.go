// Package prometheus_test tests the alerts with Prometheus' own tool.
package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// files are the rules and their tests.
func files(t *testing.T) (rules, tests []string) {
	t.Helper()
	all, err := filepath.Glob("sallyport.*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if strings.HasSuffix(f, ".test.yaml") {
			tests = append(tests, f)
		} else {
			rules = append(rules, f)
		}
	}
	return rules, tests
}

func read(t *testing.T, names []string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestTheAlertsFireWhenTheyShould(t *testing.T) {
	rules, tests := files(t)
	for _, args := range [][]string{append([]string{"check", "rules"}, rules...), append([]string{"test", "rules"}, tests...)} {
		if out, err := exec.CommandContext(t.Context(), testenv.Prometheus(t, "promtool"), args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// An alert that no test has seen fire may never fire.
func TestEachAlertFiresInATest(t *testing.T) {
	alert, fires := regexp.MustCompile(`- alert: (\w+)`), regexp.MustCompile(`alertname: (\w+)(?:\n\s+exp_alerts:\n)`)
	rules, tests := files(t)
	seen := make(map[string]bool)
	for _, m := range fires.FindAllStringSubmatch(read(t, tests), -1) {
		seen[m[1]] = true
	}
	for _, m := range alert.FindAllStringSubmatch(read(t, rules), -1) {
		if !seen[m[1]] {
			t.Errorf("%s fires in no test", m[1])
		}
	}
}

// An alert about an event that no guard raises would never fire.
func TestTheEventsOfTheAlertsExist(t *testing.T) {
	sources, err := filepath.Glob("../../guard/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := read(t, slices.DeleteFunc(sources, func(f string) bool { return strings.HasSuffix(f, "_test.go") }))
	rules, _ := files(t)
	for _, m := range regexp.MustCompile(`(?:event|reason)=~?"([a-z_|]+)"`).FindAllStringSubmatch(read(t, rules), -1) {
		known := false
		for event := range strings.SplitSeq(m[1], "|") {
			known = known || strings.Contains(code, `"`+event+`"`)
		}
		if !known {
			t.Errorf("no guard has the word %s", m[1])
		}
	}
}
