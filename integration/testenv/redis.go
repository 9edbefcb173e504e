package testenv

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Redis is a running redis-server.
type Redis struct {
	Address string

	mu   sync.Mutex
	args []string
	dir  string
	cmd  *exec.Cmd
	done chan error
	log  bytes.Buffer
}

// StartRedis runs a real redis-server on a free port, with more arguments. It
// ends with t.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		Missing(t, "redis-server: run `make redis`")
	}
	r := &Redis{Address: FreeAddress(t), dir: t.TempDir(), args: args}
	r.Start(t)
	t.Cleanup(r.Stop)
	return r
}

// Port returns the port it listens on.
func (r *Redis) Port() int {
	_, port, _ := net.SplitHostPort(r.Address)
	n, _ := strconv.Atoi(port)
	return n
}

// Start starts it again, empty.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	args := append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(r.Port()), "--dir", r.dir, "--save", "", "--appendonly", "no"}, r.args...)
	if len(r.args) > 0 && r.args[0] == "--sentinel" { // which needs a file to write to, in the first place
		file := filepath.Join(r.dir, "sentinel.conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, "bind 127.0.0.1\nport %d\ndir %s\n%s", r.Port(), r.dir, r.args[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		args = []string{file, "--sentinel"}
	}
	r.cmd = exec.Command("redis-server", args...)
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done, cmd := make(chan error, 1), r.cmd
	r.done = done
	go func() { done <- cmd.Wait() }()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if c, err := net.DialTimeout("tcp", r.Address, time.Second); err == nil {
			_ = c.Close()
			return
		}
		select {
		case err := <-done:
			r.cmd = nil
			t.Fatalf("redis-server ended: %v: %s", err, r.log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	<-done //nolint:errcheck // what the kill made of it
	r.cmd = nil
	t.Fatalf("redis-server does not listen: %s", r.log.String())
}

// Stop kills it, as a crash would.
func (r *Redis) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	<-r.done //nolint:errcheck // what the kill made of it
	r.cmd = nil
}
