package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/opa"
)

// bundle writes an archive of a version under path.
func writeBundle(t *testing.T, path, version string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.rego"), []byte("package sallyport\n\naccess := {\"allow\": true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := opa.Load(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := opa.Build(f, b, version); err != nil {
		t.Fatal(err)
	}
}

func bundled(path string) policy.Config {
	c := policy.Default()
	c.Bundle, c.Signatures = path, policy.SignaturesOptional
	return c
}

func version(l *line) string {
	v, _, _ := strings.Cut(l.keeper.Plan().Live.Revision, "+")
	return v
}

func TestARollbackOutlivesAChangeOfTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.tar.gz")
	writeBundle(t, path, "1.0.0")
	var r releases
	c := bundled(path)
	first, err := r.line("", terms{Config: c, Engine: "OPA"}, false)
	if err != nil {
		t.Fatal(err)
	}
	writeBundle(t, path, "1.1.0")
	if err := first.keeper.Offer(first.source.Fetch(t.Context(), "", 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := first.keeper.Rollback(""); err != nil {
		t.Fatal(err)
	}
	c.Poll, c.Canary.Stages = time.Minute, []policy.Stage{{Percent: 10, Decisions: 1}}
	second, err := r.line("", terms{Config: c, Engine: "OPA"}, false)
	if err != nil || second == first {
		t.Fatalf("the same line, or %v", err)
	}
	if version(second) != "1.0.0" || second.keeper.Status().Held == "" {
		t.Errorf("%s judges: %+v", version(second), second.keeper.Status())
	}
	if again, err := r.line("", terms{Config: c, Engine: "OPA"}, false); err != nil || again != second {
		t.Errorf("a reload that changes nothing begins anew: %v", err)
	}
}

func TestAConfigurationWhoseBundleIsBadIsRefusedUnlessAGoodOneOfTheSameSourceIsKnown(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.tar.gz"), filepath.Join(dir, "bad.tar.gz")
	writeBundle(t, good, "1.0.0")
	if err := os.WriteFile(bad, []byte("no bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r releases
	if _, err := r.line(dir, terms{Config: bundled("good.tar.gz"), Engine: "OPA"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.line(dir, terms{Config: bundled("bad.tar.gz"), Engine: "OPA"}, false); err == nil {
		t.Error("the bundle of another source stands in for a bad one")
	}
	if err := os.WriteFile(good, []byte("no bundle any more"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := bundled("good.tar.gz")
	c.Keep = 7
	l, err := r.line(dir, terms{Config: c, Engine: "OPA"}, false)
	if err != nil || version(l) != "1.0.0" || l.keeper.Err() == nil {
		t.Errorf("the last good one does not judge on: %v", err)
	}
	c.Signatures, c.Keys = policy.SignaturesRequired, []policy.Key{{ID: "k", Algorithm: "EdDSA", Key: "file:" + good}}
	if _, err := r.line(dir, terms{Config: c, Engine: "OPA"}, false); err == nil {
		t.Error("what was taken without a signature judges where one is required")
	}
}

func TestAShadowIsALineOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.tar.gz")
	writeBundle(t, path, "1.0.0")
	var r releases
	c := bundled(path)
	c.Shadow.Bundle = path
	live, err := r.line(dir, terms{Config: c, Engine: "OPA"}, false)
	if err != nil {
		t.Fatal(err)
	}
	shadow, err := r.line(dir, shadowConfig(terms{Config: c, Engine: "OPA"}), true)
	if err != nil || shadow == live {
		t.Fatalf("the live line, or %v", err)
	}
	if _, err := live.keeper.Rollback(""); err == nil {
		t.Error("rolled back to what is only looked at")
	}
	c.Shadow.Bundle = filepath.Join(dir, "none")
	if _, err := r.line(dir, shadowConfig(terms{Config: c, Engine: "OPA"}), true); err == nil || r.why(shadowConfig(terms{Config: c, Engine: "OPA"})) == nil {
		t.Errorf("what is not there: %v", err)
	}
	if r.has(terms{Config: c, Engine: "OPA"}, false) != live {
		t.Error("a change of the shadow begins a new line")
	}
}
