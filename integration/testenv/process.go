package testenv

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program under test.
type Process struct {
	*exec.Cmd
	Ended chan struct{} // closed when it has ended; ProcessState tells how

	mu  sync.Mutex
	out bytes.Buffer
}

// Launch starts a program that is killed with the test at the latest, and shows
// what it said when the test fails.
func Launch(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return LaunchFor(t, 5*time.Minute, name, args...)
}

// LaunchFor is Launch for a program that may run longer, or less long.
func LaunchFor(t testing.TB, limit time.Duration, name string, args ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	p := &Process{Cmd: exec.CommandContext(ctx, name, args...), Ended: make(chan struct{})}
	p.Stdout, p.Stderr = p, p
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Wait(); close(p.Ended) }() // ProcessState tells
	t.Cleanup(func() {
		cancel()
		<-p.Ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), p.Text())
		}
	})
	return p
}

// Write takes what the program says.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Text returns what the program has said.
func (p *Process) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}
