// Package envoyrun runs Envoy as a child process.
package envoyrun

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

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

// adminAddress returns the address of Envoy's admin interface, or "".
func (p *Process) adminAddress() string {
	if a := p.admin.Load(); a != nil {
		return *a
	}
	return ""
}

// Run starts Envoy, and starts it again with back-off when it dies, until ctx
// ends. Then it drains Envoy for at most drain and stops it. A binary that
// cannot be started the first time is an error.
func (p *Process) Run(ctx context.Context, drain time.Duration) error {
	// The kernel kills Envoy when the thread that started it ends, not the
	// process. A locked thread lives as long as this function runs.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
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
		if errors.Is(err, errStart) && p.Restarts() == 0 {
			return err
		}
		if time.Since(began) > 30*time.Second {
			wait = first
		}
		p.restarts.Add(1)
		p.admin.Store(nil)
		p.Log.Error("envoy ended; starting it again", "how", ending(err), "after", time.Since(began).Round(time.Millisecond), "in", wait, "restarts", p.Restarts())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
}

// errStart marks a binary that the system does not run.
var errStart = errors.New("envoyrun: cannot start Envoy")

// ending says how the process ended; a nil error is an exit that nobody asked for.
func ending(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func (p *Process) once(ctx context.Context, config string, drain time.Duration) error {
	adminFile := filepath.Join(p.Dir, "admin")
	_ = os.Remove(adminFile) // a former run's address must not be taken for this one's
	args := []string{"-c", config, "--admin-address-path", adminFile, "--disable-hot-restart", "--log-level", "warning",
		"--log-format", "%l %n: %v", "--drain-strategy", "immediate", "--drain-time-s", strconv.Itoa(max(1, int(drain.Seconds())))}
	if p.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(p.Concurrency))
	}
	cmd := exec.Command(p.Binary, args...) //nolint:noctx // a context would kill it; stop drains it first
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("envoyrun: %w", err)
	}
	cmd.Stdout = os.Stdout // the access log, when it goes to stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errStart, err) // which names the binary
	}
	p.Log.Info("envoy started", "pid", cmd.Process.Pid)
	exited := make(chan error, 1)
	go func() {
		p.logs(stderr) // first, because Wait throws away what is unread: Envoy's last words
		exited <- cmd.Wait()
	}()
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
