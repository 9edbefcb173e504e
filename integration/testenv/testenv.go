// Package testenv starts the real parts that integration tests need.
package testenv

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root returns the root of the source tree: the nearest folder with a go.mod,
// from where the test runs upwards. It is found in this way, and not from where
// this file was compiled, so that tests also run when built with -trimpath.
func Root() string {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil || dir == filepath.Dir(dir) {
			break
		}
	}
	return dir
}

// Envoy returns the path of a real Envoy. Without one the test is skipped, or
// fails when REQUIRE_INTEGRATION is 1.
func Envoy(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("SALLYPORT_ENVOY"); p != "" {
		return p
	}
	if found, _ := filepath.Glob(filepath.Join(Root(), ".tools/venv/lib/python3*/site-packages/envoy/_bin/envoy")); len(found) > 0 {
		return found[0]
	}
	if p, err := exec.LookPath("envoy"); err == nil {
		return p
	}
	Missing(t, "Envoy: run `make tools`, or set SALLYPORT_ENVOY")
	return ""
}

// Prometheus returns the path of prometheus or promtool.
func Prometheus(t testing.TB, program string) string {
	t.Helper()
	if p := filepath.Join(Root(), ".tools/prometheus/usr/bin", program); executable(p) {
		return p
	}
	p, err := exec.LookPath(program)
	if err != nil {
		Missing(t, program+": run `make promtool`")
	}
	return p
}

// Missing skips the test for want of a real part, or fails it when
// REQUIRE_INTEGRATION is 1.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("REQUIRE_INTEGRATION") == "1" {
		t.Fatal("missing: " + what)
	}
	t.Skip("missing: " + what)
}

// Heavy skips a test that needs a server which takes long to install or to
// start, unless REQUIRE_HEAVY is 1, as `make heavy` sets it. It is asked first,
// by every test of the packages that the Makefile lists under HEAVY.
func Heavy(t testing.TB) {
	t.Helper()
	if os.Getenv("REQUIRE_HEAVY") != "1" {
		t.Skip("heavy: run `make heavy`, or set REQUIRE_HEAVY=1")
	}
}

// Gateway is a running `sallyport run`.
type Gateway struct {
	MCP    string // http://host:port
	Admin  string
	Egress []string // host:port of each egress listener
	Config string   // path of its configuration
	Cmd    *exec.Cmd
	Exited chan error

	mu  sync.Mutex
	log strings.Builder
}

// Start runs the gateway with a real Envoy and waits until it is ready. servers
// is the YAML of the configuration's servers: list, more whatever else it needs.
func Start(t testing.TB, servers, more string) *Gateway {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	Write(t, path, Config(t, servers, more))
	return StartFile(t, path)
}

// Config returns a configuration on free ports.
func Config(t testing.TB, servers, more string) string {
	return "listeners: [{address: \"127.0.0.1:0\"}]\n" +
		"gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\n" +
		"extproc: {address: \"127.0.0.1:0\"}\nxds: {address: \"127.0.0.1:0\"}\nadmin: {address: \"127.0.0.1:0\"}\n" +
		"envoy: {admin_address: \"127.0.0.1:0\", concurrency: 2}\n" +
		"receipts: {path: " + strconv.Quote(filepath.Join(t.TempDir(), "receipts.jsonl")) + "}\n" +
		"servers:\n" + servers + more
}

// StartFile runs the gateway with the configuration at path.
func StartFile(t testing.TB, path string) *Gateway {
	t.Helper()
	g := &Gateway{Config: path, Exited: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	g.Cmd = exec.CommandContext(ctx, Binary(t), "run", "-c", path, "--envoy", Envoy(t))
	g.Cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := g.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	g.Cmd.Stderr = g
	if err := g.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.Cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-g.Exited:
			if err != nil && !t.Failed() {
				t.Errorf("the gateway ended with %v after SIGTERM", err)
			}
		case <-time.After(time.Minute):
			cancel()
			t.Error("the gateway did not stop within a minute of SIGTERM")
		}
		cancel()
		if t.Failed() {
			t.Logf("gateway log:\n%s", g.Log())
		}
	})
	ready := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(stdout)
		for sc.Scan() {
			if strings.HasPrefix(sc.Text(), "sallyport ready ") {
				ready <- sc.Text()
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
		g.Exited <- g.Cmd.Wait()
	}()
	select {
	case line := <-ready:
		for _, f := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(f, "mcp="); ok {
				g.MCP = v
			}
			if v, ok := strings.CutPrefix(f, "admin="); ok {
				g.Admin = v
			}
			if v, ok := strings.CutPrefix(f, "egress="); ok {
				g.Egress = append(g.Egress, v)
			}
		}
	case err := <-g.Exited:
		g.Exited <- err
		t.Fatalf("the gateway ended: %v\n%s", err, g.Log())
	case <-time.After(2 * time.Minute):
		t.Fatalf("the gateway was not ready in 2 minutes\n%s", g.Log())
	}
	return g
}

// Write appends to the log; it makes Gateway the process's stderr.
func (g *Gateway) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.Write(p)
}

// Log returns what the gateway and its Envoy logged so far.
func (g *Gateway) Log() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// LogWith is Log once it holds want: what is logged before a reply may be read after it.
func (g *Gateway) LogWith(t testing.TB, want string) (text string) {
	t.Helper()
	Eventually(t, time.Minute, "a log with "+want, func() bool {
		text = g.Log()
		return strings.Contains(text, want)
	})
	return text
}

// Get returns the body of an admin path.
func (g *Gateway) Get(t testing.TB, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Write replaces a file in one step, as careful editors do.
func Write(t testing.TB, path, content string) {
	t.Helper()
	tmp := filepath.Join(filepath.Dir(path), ".tmp-"+filepath.Base(path))
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

// Eventually waits up to limit for ok.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
