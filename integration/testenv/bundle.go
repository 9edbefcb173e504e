package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/policies"
)

// Bundle returns the folder of a policy bundle: the default rules, with this
// JSON document in the place of their organisation.
func Bundle(t testing.TB, organisation string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := os.CopyFS(dir, policies.Default()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "org")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "org"), 0o700); err != nil {
		t.Fatal(err)
	}
	Write(t, filepath.Join(dir, "org", "data.json"), organisation)
	return dir
}
