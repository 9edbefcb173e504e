package grafana_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/sallyport/sallyport/deploy/grafana"
)

var update = flag.Bool("update", false, "write dashboards/ anew")

func TestTheFilesAreMadeFromTheCode(t *testing.T) {
	for _, b := range grafana.Dashboards() {
		made, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("dashboards", b.ID+".json")
		if *update {
			if err := os.WriteFile(path, made, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, made) {
			t.Errorf("%s is not what the code makes (%v); run: go test ./deploy/grafana -update", path, err)
		}
	}
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) != len(grafana.Dashboards()) {
		t.Errorf("%d files, %d dashboards: %v", len(files), len(grafana.Dashboards()), err)
	}
}

// Grafana's own schema, in the types that are generated from it: no member that it
// does not know, and no value that it does not allow.
func TestGrafanaCanReadTheDashboards(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var strict, d dashboard.Dashboard //nolint:staticcheck // the classic schema
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		for _, err := range [...]error{strict.UnmarshalJSONStrict(text), d.Validate()} {
			var list cog.BuildErrors
			if err != nil && (!errors.As(err, &list) || len(list) > 0) { // an empty list is no error
				t.Errorf("%s: %v", path, err)
			}
		}
		var back bytes.Buffer
		again, err := json.Marshal(d)
		if err == nil {
			err = json.Indent(&back, again, "", "  ")
		}
		if err != nil || !bytes.Equal(append(back.Bytes(), '\n'), text) {
			t.Errorf("%s: does not survive Grafana's types: %v", path, err)
		}
	}
}

func TestPanelsHaveIdsAndFit(t *testing.T) {
	for _, b := range grafana.Dashboards() {
		if len(b.Rows) == 0 || b.About == "" {
			t.Errorf("%s says nothing", b.ID)
		}
		for _, r := range b.Rows {
			for _, p := range r.Panels {
				if p.Title == "" || p.Unit == "" || len(p.Queries) == 0 || p.Width > 24 {
					t.Errorf("%s, %s: %+v", b.ID, r.Title, p)
				}
			}
		}
	}
}

// A variable that a query uses and nobody sets would match nothing.
func TestQueriesUseVariablesThatExist(t *testing.T) {
	known := regexp.MustCompile(`\$[a-z_]+`)
	for _, b := range grafana.Dashboards() {
		has := map[string]bool{"$__rate_interval": true}
		for _, c := range b.Choices {
			has["$"+c.Label] = true
		}
		for _, r := range b.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					for _, v := range known.FindAllString(q.Expr, -1) {
						if !has[v] {
							t.Errorf("%s, %s: %s", b.ID, p.Title, v)
						}
					}
				}
			}
		}
	}
}
