// Package peers starts the real MCP servers and drives the real MCP clients that
// the gateway must work with, each an SDK of its own. README.md says which pairs
// do what without a gateway between them.
//
// Everything listens on loopback, on ports of its own, and ends with the test.
package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// dir is this folder.
func dir() string { return filepath.Join(testenv.Root(), "integration", "peers") }

// node returns the Node binary and the folder of the drivers, whose node_modules
// must be installed. Without them the test is skipped, or fails when
// REQUIRE_INTEGRATION is 1.
func node(t testing.TB) (bin, folder string) {
	t.Helper()
	folder = filepath.Join(dir(), "node")
	bin, err := exec.LookPath("node")
	if err != nil {
		testenv.Missing(t, "node, version 20 or newer")
	}
	if !exists(filepath.Join(folder, "node_modules", "@modelcontextprotocol", "client")) {
		testenv.Missing(t, "Node peers: npm ci --ignore-scripts --prefix integration/peers/node")
	}
	return bin, folder
}

// python returns the interpreter that has the Python SDK, and the folder of the
// drivers, under the same condition.
func python(t testing.TB) (bin, folder string) {
	t.Helper()
	bin = filepath.Join(testenv.Root(), ".tools", "venv-peers", "bin", "python")
	if !exists(bin) {
		testenv.Missing(t, "Python peers: python3 -m venv .tools/venv-peers && .tools/venv-peers/bin/pip install -r integration/peers/python/requirements.txt")
	}
	return bin, filepath.Join(dir(), "python")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Node returns the command that runs a script of integration/peers/node, which
// has the TypeScript SDKs.
func Node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	bin, folder := node(t)
	return exec.Command(bin, append([]string{filepath.Join(folder, script)}, args...)...)
}

// Python returns the command that runs a script of integration/peers/python,
// which has the Python SDK.
func Python(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	bin, folder := python(t)
	return exec.Command(bin, append([]string{filepath.Join(folder, script)}, args...)...)
}
