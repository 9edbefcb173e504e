package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/internal/config"
)

var update = flag.Bool("update", false, "rewrite the expected parts of the test data")

// envelopeConfig and quotaConfig stand for the sections of guards.
type envelopeConfig struct {
	AllowedHosts []string `yaml:"allowed_hosts" doc:"Names that clients may use"`
}

type quotaConfig struct {
	PerHour uint          `yaml:"per_hour" min:"1" doc:"Calls per hour"`
	Window  time.Duration `yaml:"window" doc:"Window"`
}

func options() config.Options {
	return config.Options{
		Guards: map[string]config.GuardSection{
			"envelope": {Summary: "Checks the envelope.", Defaults: &envelopeConfig{}, Check: func(c any) error {
				var errs []error
				for i, h := range c.(*envelopeConfig).AllowedHosts {
					if strings.ContainsAny(h, "/ ") {
						errs = append(errs, fmt.Errorf("allowed_hosts[%d]: %q is not a host name", i, h))
					}
				}
				return errors.Join(errs...)
			}},
			"quota": {Summary: "Counts calls.", Defaults: &quotaConfig{PerHour: 1000, Window: time.Hour}},
		},
		Available: config.Capabilities{"gateway.authentication.method=none", "gateway.authorization.policy_engine=none"},
	}
}

// unpack writes the files of an archive, and certificates for them, into a new
// folder, and makes it the working directory so that errors show short paths.
func unpack(t *testing.T, a *txtar.Archive) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range a.Files {
		if f.Name == "want" {
			continue
		}
		write(t, f.Name, string(f.Data))
	}
	certificates(t, "certs")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryProblemIsToldWithItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			unpack(t, a)
			got := ""
			if _, err := config.Load("sallyport.yaml", options()); err != nil {
				var problems config.Problems
				if !errors.As(err, &problems) {
					t.Errorf("the error is %T, want config.Problems", err)
				}
				got = shorten(t, err.Error()) + "\n"
			}
			want := &a.Files[len(a.Files)-1]
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want.Data) {
				t.Errorf("got:\n%swant:\n%s", got, want.Data)
			}
		})
	}
}

// shorten takes the temporary folder out of messages.
func shorten(t *testing.T, s string) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(s, dir+"/", "")
}
