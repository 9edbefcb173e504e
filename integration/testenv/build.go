package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var built sync.Map // package -> func() error: each is built at most once per test process

// Build builds a command of this module, or of one that it depends on, and
// returns its path, which is the same for all tests: what has not changed is not
// linked again. Where SALLYPORT_BUILT is a folder that has it, as in `make test`,
// nothing is built, since even to see that nothing has changed takes a second of
// each package of tests.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	name := filepath.Base(pkg)
	if dir := os.Getenv("SALLYPORT_BUILT"); dir != "" {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	path := filepath.Join(Root(), "bin", "test", name)
	once, _ := built.LoadOrStore(pkg, sync.OnceValues(func() ([]byte, error) {
		cmd := exec.Command("go", "build", "-o", path, pkg)
		cmd.Dir = Root()
		return cmd.CombinedOutput()
	}))
	if out, err := once.(func() ([]byte, error))(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0
}

// Binary returns the path of sallyport, built.
func Binary(t testing.TB) string {
	t.Helper()
	return Build(t, "./cmd/sallyport")
}
