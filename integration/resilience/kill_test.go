package resilience

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// unjudged are the reasons that clients may read while nobody can judge.
var unjudged = readable("guard_error", "deadline_exceeded")

func TestAKilledGatewayLetsNothingPassAndComesBackByItself(t *testing.T) {
	a := startUpstream(t, "a")
	p := startPlant(t, "  - {name: a, url: "+a.url+"}\n", "")
	l := startLoad(t, p.MCP+"/mcp/a", 4, unjudged)
	testenv.Eventually(t, time.Minute, "load", func() bool { return l.count("a") > 50 })

	if err := p.Gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Gateway.Ended
	l.turn(t) // what was released before has reached the server
	before := a.seen.Load()
	// A client that begins now, too.
	for range 20 {
		r := call(http.DefaultClient, p.MCP+"/mcp/a", "echo")
		if reason, _ := r.refusal(); reason == "" || r.status != http.StatusServiceUnavailable {
			t.Fatalf("nobody judges: %v", r)
		}
	}
	testenv.Eventually(t, time.Minute, "refusals", func() bool { return l.count("guard_error")+l.count("guard_error with id") > 50 })
	if n := a.seen.Load() - before; n != 0 {
		t.Errorf("%d requests passed while nobody judged", n)
	}

	start := time.Now()
	p.Serve(t)
	testenv.Eventually(t, time.Minute, "service after the restart", func() bool { return call(http.DefaultClient, p.MCP+"/mcp/a", "echo").from() == "a" })
	t.Logf("serving %v after the restart", time.Since(start).Round(time.Millisecond))
	p.Ready(t)
	t.Logf("ready %v after the restart", time.Since(start).Round(time.Millisecond))
	after := l.count("a")
	testenv.Eventually(t, time.Minute, "load again", func() bool { return l.count("a") > after+50 })
	l.check(t, "clients of a gateway that was killed")
}

func TestAGatewayThatHangsIsRefusedInTimeAndHeals(t *testing.T) {
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	p := startPlant(t, "  - {name: a, url: "+a.url+"}\n  - {name: b, url: "+b.url+"}\n", "limits: {judge_time: 300ms}\n")
	l := startLoad(t, p.MCP+"/mcp/a", 3, unjudged)
	testenv.Eventually(t, time.Minute, "load", func() bool { return l.count("a") > 20 })
	if err := p.Gateway.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the stop", func() bool { return state(p.Gateway.Process.Pid) == "T" })
	start := time.Now()
	r := call(http.DefaultClient, p.MCP+"/mcp/b", "echo")
	if reason, _ := r.refusal(); reason != "deadline_exceeded" || r.status != http.StatusServiceUnavailable {
		t.Errorf("a gateway that hangs: %v", r)
	}
	t.Logf("refused after %v with judge_time 300ms", time.Since(start).Round(time.Millisecond))
	// Whose reply was being judged waits on, so these are clients who come now, for a
	// server that nobody has called before.
	late := startLoad(t, p.MCP+"/mcp/b", 3, unjudged)
	testenv.Eventually(t, time.Minute, "refusals", func() bool { return late.count("deadline_exceeded")+late.count("deadline_exceeded with id") > 10 })
	if n := b.seen.Load(); n != 0 {
		t.Errorf("%d requests passed while the gateway hung", n)
	}
	if err := p.Gateway.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	after := l.count("a")
	testenv.Eventually(t, time.Minute, "load again", func() bool { return l.count("a") > after+20 })
	l.check(t, "clients of a gateway that hung")
	late.check(t, "clients who came while it hung")
}

func TestAKilledEnvoyIsStartedAgain(t *testing.T) {
	a := startUpstream(t, "a")
	g := testenv.Start(t, "  - {name: a, url: "+a.url+"}\n", "")
	for i := range 2 {
		envoy := children(t, g.Cmd.Process.Pid)
		if len(envoy) != 1 {
			t.Fatalf("children %v", envoy)
		}
		if err := syscall.Kill(envoy[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		testenv.Eventually(t, time.Minute, "the restart", func() bool { return statusOf(t, g.Admin).EnvoyRestarts == i+1 })
		testenv.Eventually(t, time.Minute, "service", func() bool { return call(http.DefaultClient, g.MCP+"/mcp/a", "echo").from() == "a" })
		t.Logf("serving %v after Envoy was killed", time.Since(start).Round(time.Millisecond))
	}
	testenv.Eventually(t, time.Minute, "readiness", func() bool { return statusOf(t, g.Admin).Ready })
	if n := metric(g.Admin, "mcp_gateway_envoy_restarts_total"); n != 2 {
		t.Errorf("the metric says %v", n)
	}
	g.LogWith(t, "signal: killed")
}

// Whoever kills the gateway must not be left with an Envoy that runs on,
// without anybody to judge or to stop it.
func TestAKilledGatewayTakesItsEnvoyAlong(t *testing.T) {
	a := startUpstream(t, "a")
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, testenv.Config(t, "  - {name: a, url: "+a.url+"}\n", ""))
	p := testenv.Launch(t, testenv.Binary(t), "run", "-c", path, "--envoy", testenv.Envoy(t))
	testenv.Eventually(t, time.Minute, "readiness", func() bool { return strings.Contains(p.Text(), "sallyport ready ") })
	envoy := children(t, p.Process.Pid)
	if len(envoy) != 1 {
		t.Fatalf("children %v", envoy)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Ended
	testenv.Eventually(t, time.Minute, "the end of Envoy", func() bool { return !alive(envoy[0]) })
}

// An Envoy that ends as soon as it starts must neither be started in a tight
// loop nor without a word about why.
func TestAnEnvoyThatCrashesAtOnceIsStartedWithPauses(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "envoy")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho 'critical main: no memory, giving up' >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	path, tmp := filepath.Join(dir, "sallyport.yaml"), filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	testenv.Write(t, path, testenv.Config(t, "  - {name: a, url: \"http://127.0.0.1:9/\"}\n", ""))
	binary := testenv.Binary(t) // before the folder for its temporary files is another
	t.Setenv("TMPDIR", tmp)
	p := testenv.Launch(t, binary, "run", "-c", path, "--envoy", script)
	testenv.Eventually(t, time.Minute, "three crashes", func() bool { return strings.Count(p.Text(), "envoy ended") >= 3 })
	for _, want := range []string{"no memory, giving up", "exit status 3", "in=200ms", "in=400ms", "in=800ms"} {
		if !strings.Contains(p.Text(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if strings.Contains(p.Text(), "sallyport ready") {
		t.Error("it says that it is ready")
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exit(t, p); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("%v are left in the temporary folder", left)
	}
}
