package envoyrun

import (
	"bufio"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stop lets open requests finish, then ends the process. From the start on,
// each reply asks its client to connect anew, perhaps to another replica. New
// connections are served for half of the time, for load balancers that have not
// heard yet, or until nobody asks for anything; after that only open requests
// go on.
func (p *Process) stop(cmd *exec.Cmd, exited chan error, drain time.Duration) error {
	if drain > 0 {
		p.post("/drain_listeners?graceful&skip_exit")
		half, deadline := time.After(drain/2), time.After(drain)
		poll := time.NewTicker(100 * time.Millisecond)
		defer poll.Stop()
		closed := false
		for open := true; open; {
			shut := false
			select {
			case err := <-exited:
				return err
			case <-deadline:
				open = false
			case <-half:
				shut = true
			case <-poll.C:
				if p.idle() {
					open, shut = !closed, true // once more: a request may have come just now
				}
			}
			if shut && !closed {
				p.post("/drain_listeners")
				closed = true
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
	a := p.adminAddress()
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
	a := p.adminAddress()
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
