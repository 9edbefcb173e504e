package app

import (
	goflag "flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sallyport/sallyport/internal/telemetry"
)

var update = goflag.Bool("update", false, "write the generated pages")

const metricsHead = `# Metrics

Generated from the code (` + "`go test ./internal/app -run Metrics -update`" + `). Prometheus scrapes them at ` + "`/metrics`" + ` of the admin address;
` + "`telemetry.otlp`" + ` has them sent to an OpenTelemetry receiver as well ([telemetry.md](telemetry.md)). Histograms hold exemplars, which Prometheus gets when it
asks for OpenMetrics (it does with ` + "`--enable-feature=exemplar-storage`" + `), for traces that are kept.

Labels come from closed sets: servers of the registry, methods of the protocol, declared reasons, guards. A method that the configuration adds is
` + "`extension`" + `, and what could not be read is ` + "`none`" + `. ` + "`telemetry_configuration.metrics.high_cardinality_labels`" + ` breaks
` + "`mcp_server_operation_duration_seconds`" + ` down further, by ` + "`tenant_id`, `agent_role` (all roles, joined by commas), `mcp_server`, `data_classification`, `agent`, `subject` and `tool`" + `: what is
unknown is ` + "`none`" + `; a tool that neither the registry declares nor the server has answered is ` + "`other`" + `; and when ` + "`telemetry.metrics.label_sets`" + ` (1000)
distinct sets of values have been seen since the start, every label of further ones is ` + "`other`" + `.

`

func TestTheMetricsPageIsUpToDate(t *testing.T) {
	const page = "../../docs/metrics.md"
	want := metricsHead + telemetry.Page(new(Gateway).described())
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil || string(have) != want {
		t.Errorf("docs/metrics.md is out of date (%v); run go test ./internal/app -run Metrics -update", err)
	}
}

func TestMetricsHaveOneNameAndAWordAboutThem(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range new(Gateway).described() {
		name := d.Prometheus()
		if seen[name] || d.Text == "" || d.Text[len(d.Text)-1] != '.' || !regexp.MustCompile(`^mcp_(gateway|server)_[a-z_]+$`).MatchString(name) {
			t.Errorf("%s: twice, or without a sentence, or not named as the others: %q", name, d.Text)
		}
		seen[name] = true
	}
}

// What the rules of deploy/prometheus ask for must exist.
func TestEveryRuleAsksForAMetricThatExists(t *testing.T) {
	files, err := filepath.Glob("../../deploy/prometheus/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	var rules []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, b...)
	}
	known := make(map[string]bool)
	for _, d := range new(Gateway).described() {
		known[d.Prometheus()] = true
	}
	for _, name := range regexp.MustCompile(`\bmcp_(?:gateway|server)_\w+`).FindAllString(string(rules), -1) {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !known[name] && !known[base] {
			t.Errorf("%s is no metric", name)
		}
	}
}
