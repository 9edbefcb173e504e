package oauth

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// drive takes an SDK of another language through a task, in a process of its own.
func drive(t testing.TB, cmd *exec.Cmd, task Task, person *Browser) Done {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), life)
	defer cancel()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
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
		t.Fatalf("oauth: start %s: %v", cmd.Path, err)
	}
	kill := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer kill()
	defer func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait() // how it ended is told by its report
	}()
	say := func(v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(text, '\n')); err != nil {
			t.Fatalf("oauth: %s: %v\n%s", cmd, err, stderr.String())
		}
	}
	say(task)
	var done Done
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s struct {
			scenario.Step
			Authorize string
			End       bool
		}
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("oauth: %s printed %q: %v", cmd, lines.Text(), err)
		}
		switch {
		case s.End:
			return done
		case s.Authorize != "":
			place, err := open(ctx, &done, person, s.Authorize)
			if err != nil {
				t.Fatal(err)
			}
			say(map[string]string{"redirect": place})
		default:
			done.Steps = append(done.Steps, s.Step)
		}
	}
	t.Fatalf("oauth: %s ended (%v) after this report:\n%s\n%s", cmd, lines.Err(), done.Steps, stderr.String())
	return done
}
