package opa

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sallyport/sallyport/policies"
)

// shipped returns the bundle of this build.
func shipped() (*Bundle, error) {
	loader, err := bundle.NewFSLoader(policies.Default())
	if err != nil {
		return nil, err
	}
	return read(loader, "default", nil)
}

func defaultPolicy(t testing.TB, ttl time.Duration) *Policy {
	t.Helper()
	b, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(b, Settings{CacheTTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// write makes a bundle directory of files.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func tryPolicy(t testing.TB, files map[string]string, s Settings) (*Policy, error) {
	t.Helper()
	b, err := Load(write(t, files), nil)
	if err != nil {
		return nil, err
	}
	return New(b, s)
}

func policyOf(t testing.TB, files map[string]string, s Settings) *Policy {
	t.Helper()
	p, err := tryPolicy(t, files, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
