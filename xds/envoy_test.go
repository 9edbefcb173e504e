package xds

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// envoyBinary finds a real Envoy, or skips; REQUIRE_INTEGRATION=1 makes its
// absence a failure.
func envoyBinary(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("SALLYPORT_ENVOY"); p != "" {
		return p
	}
	found, err := filepath.Glob("../.tools/venv/lib/python3*/site-packages/envoy/_bin/envoy")
	if err == nil && len(found) > 0 {
		p, err := filepath.Abs(found[0])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p, err := exec.LookPath("envoy"); err == nil {
		return p
	}
	if os.Getenv("REQUIRE_INTEGRATION") == "1" {
		t.Fatal("no envoy: set SALLYPORT_ENVOY or run make tools")
	}
	t.Skip("no envoy: set SALLYPORT_ENVOY or run make tools")
	return ""
}
