package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// drive starts a driver, which takes one plan after the other: starting an
// interpreter costs more than most conversations. A failed step is in the
// report; a driver that breaks fails the test.
func drive(t testing.TB, cmd *exec.Cmd) Run {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = stopLimit
	var stderr lastWords
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("peers: start %s: %v", cmd.Path, err)
	}
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // it may have ended by itself
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		late := time.AfterFunc(stopLimit, kill)
		defer late.Stop()
		_ = cmd.Wait() // how it ended is told by its reports
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return func(t testing.TB, url string, p scenario.Plan) scenario.Steps {
		t.Helper()
		task, err := json.Marshal(map[string]any{"url": url, "plan": p})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(task, '\n')); err != nil {
			t.Fatalf("peers: %s: %v\n%s", cmd, err, stderr.String())
		}
		late := time.AfterFunc(clientLife, kill)
		defer late.Stop()
		var steps scenario.Steps
		for lines.Scan() {
			var s struct {
				scenario.Step
				End bool `json:"end"`
			}
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Fatalf("peers: %s printed %q: %v", cmd, lines.Text(), err)
			}
			if s.End {
				return steps
			}
			steps = append(steps, s.Step)
		}
		t.Fatalf("peers: %s ended (%v) after this report:\n%s\n%s", cmd, lines.Err(), steps, stderr.String())
		return nil
	}
}

// lastWords keeps the end of what a driver says on stderr.
type lastWords struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() > 1<<20 {
		l.text.Reset()
	}
	return l.text.Write(p)
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tail(l.text.String())
}
