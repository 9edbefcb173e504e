// Package prometheus_test tests the alerts with Prometheus' own tool.
package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

func promtool(t *testing.T) string {
	t.Helper()
	if p := filepath.Join(testenv.Root(), ".tools/prometheus/usr/bin/promtool"); exists(p) {
		return p
	}
	p, err := exec.LookPath("promtool")
	if err != nil {
		testenv.Missing(t, "promtool: run `make promtool`")
	}
	return p
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestTheAlertsFireWhenTheyShould(t *testing.T) {
	tool := promtool(t)
	for _, args := range [][]string{{"check", "rules", "sallyport.rules.yaml"}, {"test", "rules", "sallyport.test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// An alert about an event that no guard raises would never fire.
func TestTheEventsOfTheAlertsExist(t *testing.T) {
	rules, err := os.ReadFile("sallyport.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	files, err := filepath.Glob("../../guard/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") {
			code.Write(text)
		}
	}
	for _, m := range regexp.MustCompile(`(?:event|reason)=~?"([a-z_|]+)"`).FindAllStringSubmatch(string(rules), -1) {
		known := false
		for event := range strings.SplitSeq(m[1], "|") {
			known = known || strings.Contains(code.String(), `"`+event+`"`)
		}
		if !known {
			t.Errorf("no guard has the word %s", m[1])
		}
	}
}
