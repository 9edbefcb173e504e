package envoyrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// The reason of a crash stands in the last lines, so none may be lost.
func TestTheLastWordsOfEnvoyAreLogged(t *testing.T) {
	var log lines
	p := &Process{Binary: script(t, "i=0; while [ $i -lt 200 ]; do echo \"error main: line $i\" >&2; i=$((i+1)); done; exit 1\n"), Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, 0) }()
	for p.Restarts() == 0 && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if !strings.Contains(log.String(), fmt.Sprintf("main: line %d\"", i)) {
			t.Fatalf("line %d is lost", i)
		}
	}
}

func TestABinaryThatIsNoneIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte{0x7f, 'E', 'L', 'F'}, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &Process{Binary: path, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	if err := p.Run(context.Background(), 0); !errors.Is(err, errStart) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestSeverityIsEnvoys(t *testing.T) {
	for line, want := range map[string]string{
		"warning main: caught": "WARN main: caught", "error upstream: x": "ERROR upstream: x", "info a: b": "DEBUG a: b",
		"critical main: y": "ERROR main: y", "Backtrace (use tools/stack_decode.py)": "ERROR Backtrace (use tools/stack_decode.py)", "": "ERROR ",
	} {
		level, rest := severity(line)
		if got := level.String() + " " + rest; got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}
