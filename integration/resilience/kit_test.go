package resilience

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
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

	"github.com/sallyport/sallyport/integration/testenv"
)

// process is a program under test.
type process struct {
	*exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out strings.Builder
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// launch starts a program that is killed with the test at the latest.
func launch(t testing.TB, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	p := &process{Cmd: exec.CommandContext(ctx, name, args...), ended: make(chan struct{})}
	p.Stdout, p.Stderr = p, p
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Wait(); close(p.ended) }() // ProcessState tells
	t.Cleanup(func() {
		cancel()
		<-p.ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), p.text())
		}
	})
	return p
}

// exit waits for the end and returns the exit code, -1 for a signal.
func (p *process) exit(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not end in 30 s\n%s", p.Path, p.text())
		return 0
	}
}

// freePort returns a port that is free now. Only tests that restart a part on
// the same port need one.
func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// plant is `sallyport serve` on fixed ports and an Envoy of the test's own.
type plant struct {
	config, mcp, admin string
	gateway            *process
}

// startPlant starts both and waits until they serve.
func startPlant(t testing.TB, servers, more string) *plant {
	t.Helper()
	p := &plant{config: filepath.Join(t.TempDir(), "sallyport.yaml")}
	port := func() int { return freePort(t) }
	mcp, admin := port(), port()
	p.mcp, p.admin = fmt.Sprintf("http://127.0.0.1:%d", mcp), fmt.Sprintf("http://127.0.0.1:%d", admin)
	testenv.Write(t, p.config, fmt.Sprintf(`listeners: [{address: "127.0.0.1:%d"}]
gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
extproc: {address: "127.0.0.1:%d"}
xds: {address: "127.0.0.1:%d"}
admin: {address: "127.0.0.1:%d"}
envoy: {admin_address: "127.0.0.1:%d"}
receipts: {path: receipts.jsonl}
servers:
%s%s`, mcp, port(), port(), admin, port(), servers, more))
	p.serve(t)
	boot, err := exec.Command(testenv.Binary(t), "envoy", "bootstrap", "-c", p.config).Output()
	if err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	testenv.Write(t, path, string(boot))
	launch(t, testenv.Envoy(t), "-c", path, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning")
	p.ready(t)
	return p
}

func (p *plant) serve(t testing.TB) {
	t.Helper()
	p.gateway = launch(t, testenv.Binary(t), "serve", "-c", p.config)
}

func (p *plant) ready(t testing.TB) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, "readiness", func() bool {
		code, _ := get(p.admin + "/readyz")
		return code == http.StatusOK
	})
}

func get(url string) (int, string) {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var b strings.Builder
	_, err = bufio.NewReader(resp.Body).WriteTo(&b)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, b.String()
}

// status is what tests read of /v1/status.
type status struct {
	Ready         bool
	NotReady      string `json:"not_ready"`
	Servers       int
	OpenStreams   int `json:"open_streams"`
	EnvoyRestarts int `json:"envoy_restarts"`
	Config        struct {
		Error   string
		Refused int `json:"refused_changes"`
	}
	Receipts struct {
		Written, Dropped, Failed uint64
		Trouble                  string
	}
}

func statusOf(t testing.TB, admin string) status {
	t.Helper()
	var s status
	_, body := get(admin + "/v1/status")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("status: %v in %s", err, body)
	}
	return s
}

// metric returns a metric without attributes, -1 if there is none.
func metric(admin, name string) float64 {
	_, body := get(admin + "/metrics")
	for line := range strings.SplitSeq(body, "\n") {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				return f
			}
		}
	}
	return -1
}

// children returns the processes that pid has started.
func children(t testing.TB, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has gone
		}
		if _, rest, ok := strings.Cut(string(b), ") "); ok {
			if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(pid) {
				if n, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// alive reports whether a process runs that is not just waiting to be reaped.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}
