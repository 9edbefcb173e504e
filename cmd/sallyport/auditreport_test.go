package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/report"
)

// Of a configuration that asks for nothing, a report says that only that is in force
// which always is.
func TestAReportClaimsLittleOfTheSmallestConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	text := "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\nservers:\n  - {name: everything, url: \"http://127.0.0.1:39102/\"}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, app.ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := app.Settings(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var configured []string
	for _, id := range report.IDs() {
		f, err := report.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		r, err := report.Make(f, report.Options{Configuration: report.Configuration{Settings: tree}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Parts {
			if p.Status != report.NotConfigured && p.Status != report.Partly {
				configured = append(configured, p.Topic)
			}
		}
	}
	slices.Sort(configured)
	configured = slices.Compact(configured)
	const want = "arguments definitions injection monitoring privacy strictness" // guards that are on by default, the decoder, and metrics
	if got := strings.Join(configured, " "); got != want {
		t.Errorf("in force are %s", got)
	}
}
