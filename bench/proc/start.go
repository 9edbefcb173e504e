package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child process.
type Process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // once exited is closed
	log    tail
}

// patience is how long a process may take to end when asked.
const patience = 15 * time.Second

// Start starts a program. It ends when ctx does, when [Process.Stop] is called,
// and at the latest with this process. lines, which may be nil, is called for
// each line of its standard output; the rest of what it says is kept for errors.
func Start(ctx context.Context, name string, lines func(string), argv ...string) (*Process, error) {
	p := &Process{name: name, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = patience // then it is killed
	// A group of its own, so that Ctrl-C reaches it through us, in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.log
	var out io.ReadCloser
	var err error
	if lines != nil {
		if out, err = p.cmd.StdoutPipe(); err != nil {
			return nil, fmt.Errorf("proc: %s: %w", name, err)
		}
	} else {
		p.cmd.Stdout = &p.log
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("proc: start %s: %w", name, err)
	}
	go func() {
		if out != nil {
			sc := bufio.NewScanner(out)
			for sc.Scan() {
				lines(sc.Text())
			}
			_, _ = io.Copy(io.Discard, out) // what is left after a line too long
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends the process, gently at first, and waits until it is gone.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// Wait polls ready until it is true. It fails when the process ends before, or
// after limit, with the last the process said.
func (p *Process) Wait(ctx context.Context, limit time.Duration, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ready() {
		select {
		case <-p.exited:
			return fmt.Errorf("proc: %s ended before it was ready: %w%s", p.name, p.err, p.log.quote())
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("proc: %s was not ready within %v%s", p.name, limit, p.log.quote())
			}
			return fmt.Errorf("proc: %s: %w", p.name, ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

// Err tells that the process ended, or returns nil while it runs.
func (p *Process) Err() error {
	select {
	case <-p.exited:
		return fmt.Errorf("proc: %s ended: %w%s", p.name, p.err, p.log.quote())
	default:
		return nil
	}
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if n := len(t.kept); n > 2*tailSize {
		t.kept = append(t.kept[:0], t.kept[n-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.kept[max(0, len(t.kept)-tailSize):])); s != "" {
		return "\n" + s
	}
	return ""
}
