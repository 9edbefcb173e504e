package peers

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 2 * time.Minute // a Python server on a busy machine takes several seconds
	stopLimit  = 5 * time.Second
)

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	log strings.Builder // the last lines are what helps when it fails
}

// start runs a server in a process group of its own, which ends with the test:
// first by SIGTERM, then by SIGKILL. It returns what ready makes of the line that
// it accepts; a test fails when there is none within startLimit.
func start(t testing.TB, cmd *exec.Cmd, ready func(line string) (string, bool)) string {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = stopLimit
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatalf("peers: start %s: %v", cmd.Path, err)
	}
	found := make(chan string, 1)
	go p.read(out, ready, found)
	go func() {
		_ = cmd.Wait() // how it ended is told by its log
		_ = in.Close()
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop(t) })
	select {
	case value := <-found:
		return value
	case <-p.ended:
		t.Fatalf("peers: %s ended before it was ready:\n%s", cmd, p.text())
	case <-time.After(startLimit):
		t.Fatalf("peers: %s was not ready in %v:\n%s", cmd, startLimit, p.text())
	}
	return ""
}

func (p *process) read(r io.Reader, ready func(string) (string, bool), found chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := ready(lines.Text()); ok {
			select {
			case found <- value:
			default: // it was ready before
			}
		}
		p.mu.Lock()
		if p.log.Len() < 1<<20 {
			p.log.WriteString(lines.Text() + "\n")
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line too long must not block the server
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) stop(t testing.TB) {
	group := -p.cmd.Process.Pid
	for _, s := range []struct {
		signal syscall.Signal
		limit  time.Duration
	}{{syscall.SIGTERM, stopLimit}, {syscall.SIGKILL, time.Minute}} {
		_ = syscall.Kill(group, s.signal) // it may have ended by itself
		select {
		case <-p.ended:
			_ = syscall.Kill(group, syscall.SIGKILL) // and so may its children not have
			if t.Failed() {
				t.Logf("%s:\n%s", p.cmd, tail(p.text()))
			}
			return
		case <-time.After(s.limit):
		}
	}
	t.Errorf("peers: %s did not end", p.cmd)
}

func tail(s string) string {
	const most = 8 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// lifetime is a context that ends with the test and, so that nothing is left
// behind by a test that hangs, after limit.
func lifetime(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}
