package proc

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheAccountOfAProcessIsRead(t *testing.T) {
	line := "4711 (a ) (b) S 42 4711 4711 0 -1 4194304 900 0 0 0 250 75 0 0 20 0 12 0 100 2000000 512 18446744073709551615 1 1 0\n"
	s, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if s.Parent != 42 || s.User != 2500*time.Millisecond || s.System != 750*time.Millisecond || s.RSS != 512*int64(os.Getpagesize()) {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"", "1 (x) S 1", strings.Replace(line, " 250 ", " x ", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestTheAccountOfTheMachineIsRead(t *testing.T) {
	m, err := parseMachine([]byte("cpu  100 2 30 5000 60 7 8 9 0 0\ncpu0 1 2 3\n"))
	if err != nil || m.Busy != 1470*time.Millisecond || m.Steal != 90*time.Millisecond {
		t.Errorf("%+v %v", m, err)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 7 x"} {
		if _, err := parseMachine([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
	if _, err := ReadMachine(); err != nil {
		t.Error(err)
	}
}

func TestTheTwoAccountsOfAProcessAgree(t *testing.T) {
	for x, end := 0, time.Now().Add(50*time.Millisecond); time.Now().Before(end); x++ {
		_ = x // use some
	}
	before, err := ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	cpu, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if sum := before.User + before.System; cpu+2*tick < sum || cpu == 0 {
		t.Errorf("the clock says %v, stat %v", cpu, sum)
	}
	if before.Parent != os.Getppid() || before.RSS <= 0 {
		t.Errorf("%+v", before)
	}
}

func TestAProcessIsStartedFoundAndStopped(t *testing.T) {
	var said atomic.Value
	p, err := Start(t.Context(), "shell", func(s string) { said.Store(s) }, "sh", "-c", "echo ready; exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context(), time.Minute, func() bool { return said.Load() == "ready" }); err != nil {
		t.Fatal(err)
	}
	children, err := Children(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range children {
		found = found || c == p.PID()
	}
	if !found {
		t.Errorf("%d is not among %v", p.PID(), children)
	}
	if p.Err() != nil {
		t.Error(p.Err())
	}
	p.Stop()
	if p.Err() == nil {
		t.Error("it still runs")
	}
}

func TestAProcessThatFailsSaysWhy(t *testing.T) {
	p, err := Start(t.Context(), "shell", nil, "sh", "-c", "echo no such thing >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.Wait(t.Context(), time.Minute, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "no such thing") || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
	if _, err := Start(t.Context(), "nothing", nil, "/nonesuch"); err == nil {
		t.Error("started a program that is not there")
	}
}

func TestAProcessEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Start(ctx, "sleep", nil, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Error("it still runs")
	}
}
