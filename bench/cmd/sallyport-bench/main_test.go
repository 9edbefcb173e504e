package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/bench/compare"
	"github.com/sallyport/sallyport/bench/delay"
	"github.com/sallyport/sallyport/bench/keys"
	"github.com/sallyport/sallyport/bench/setup"
	"github.com/sallyport/sallyport/bench/surge"
	"github.com/sallyport/sallyport/integration/testenv"
)

// program builds the command, which has to start itself for its own parts.
func program(t *testing.T) string {
	t.Helper()
	return testenv.Build(t, "./bench/cmd/sallyport-bench")
}

// command returns a function that runs the command beside the gateway and a
// real Envoy.
func command(t *testing.T) func(args ...string) (stdout, stderr string, err error) {
	t.Helper()
	envoy, gateway, self := testenv.Envoy(t), testenv.Binary(t), program(t)
	return func(args ...string) (string, string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, self, append(args, "--envoy", envoy, "--sallyport", gateway)...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 30 * time.Second
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		return stdout.String(), stderr.String(), err
	}
}

func TestEverySetUpIsMeasuredWithoutErrors(t *testing.T) {
	run := command(t)
	for name, args := range map[string][]string{
		"closed loop, sessions, JSON":         {"--sizes", "200,10KiB"},
		"open loop, sessionless, events":      {"--sizes", "200", "--era", "modern", "--reply", "sse", "--rate", "50"},
		"bodies beyond one chunk, older eras": {"--sizes", "100KiB", "--era", "2025-03-26"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, picture := filepath.Join(dir, "out.json"), filepath.Join(dir, "out.svg")
			r, stdout := measured(t, run, append([]string{"-c", "2", "--warmup", "50ms", "-r", "2", "--json", file, "--plot", picture}, args...)...)
			if len(r.Cases) != len(r.Plan.Sizes) {
				t.Fatalf("%d cases for %d sizes", len(r.Cases), len(r.Plan.Sizes))
			}
			for _, c := range r.Cases {
				if len(c.Results) != len(setup.Usual()) {
					t.Fatalf("%d set-ups", len(c.Results))
				}
				for i, s := range c.Results {
					if s.Setup != setup.Usual()[i] || s.Errors != 0 || s.Rate <= 0 || len(s.Rounds) != 2 || s.ToNoop == nil || s.Latency.P50 <= 0 {
						t.Errorf("%+v", s)
					}
					if part := unused(s); part != "" {
						t.Errorf("%s: no CPU time of %s", s.Setup, part)
					}
				}
			}
			if !strings.Contains(stdout, "| sallyport |") {
				t.Errorf("no table:\n%s", stdout)
			}
			if b, err := os.ReadFile(picture); err != nil || !bytes.Contains(b, []byte("</svg>")) {
				t.Errorf("no picture: %v", err)
			}
		})
	}
}

// measured compares for a moment, or for longer where a busy machine did nothing
// in it that shows.
func measured(t *testing.T, run func(args ...string) (string, string, error), args ...string) (compare.Report, string) {
	t.Helper()
	for _, d := range []string{"300ms", "1s", "3s"} {
		stdout, stderr, err := run(append([]string{"compare", "-d", d}, args...)...)
		if err != nil && (d == "3s" || !strings.Contains(stderr, "no call was answered")) {
			t.Fatalf("%v\n%s\n%s", err, stdout, stderr)
		}
		var r compare.Report
		if err == nil {
			read(t, args[slices.Index(args, "--json")+1], &r)
		}
		if err == nil && (d == "3s" || !slices.ContainsFunc(r.Cases, idle)) {
			return r, stdout
		}
	}
	return compare.Report{}, ""
}

// idle reports whether a part of any set-up took no CPU time.
func idle(c compare.Case) bool {
	return slices.ContainsFunc(c.Results, func(s compare.Result) bool { return unused(s) != "" })
}

// unused returns a part of a set-up that took no CPU time.
func unused(s compare.Result) string {
	parts := map[string][]string{setup.Envoy: {"envoy"}, setup.Noop: {"envoy", "noop"}, setup.Sallyport: {"envoy", "sallyport"}, setup.Quota: {"envoy", "sallyport", "redis"}, setup.Defaults: {"envoy", "sallyport"}}
	for _, part := range append(parts[s.Setup], "bench", "echo") {
		if s.CPU[part] <= 0 {
			return part
		}
	}
	return ""
}

func TestEventsOfStreamsArriveThroughEverySetUp(t *testing.T) {
	run := command(t)
	for _, era := range []string{"legacy", "modern"} {
		file := filepath.Join(t.TempDir(), "out.json")
		stdout, stderr, err := run("sse", "-c", "2", "-d", "1s", "--interval", "100ms", "--era", era, "--json", file)
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", era, err, stdout, stderr)
		}
		var r delay.Report
		read(t, file, &r)
		for _, s := range r.Results {
			if s.Events != 20 || s.Lost != 0 || s.Median <= 0 {
				t.Errorf("%s: %+v", era, s)
			}
		}
	}
}

// Memory of counters is bounded where it is said to be, old counters go away, and
// a hot counter asks seldom.
func TestManyCountersTakeAsMuchMemoryAsTheyMay(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		testenv.Missing(t, "redis-server")
	}
	file := filepath.Join(t.TempDir(), "out.json")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"keys", "--keys", "5000", "--max-keys", "1000", "--window", "3s", "--hot", "20000", "--json", file}, &stdout, &stderr); code != 0 {
		t.Fatalf("%d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	var r keys.Report
	read(t, file, &r)
	if r.Embedded.Keys != 5000 || r.Bounded.Keys > 1001 || r.Replica.Keys > 1000 || r.Redis.Keys < 1 {
		t.Errorf("counters: %+v", r)
	}
	if n := r.Embedded.Left + r.Bounded.Left + r.Redis.Left; n != 0 {
		t.Errorf("%d counters do not expire", n)
	}
	if r.Admitted != 20_000 || r.Trips == 0 || r.Trips > 20_000/1000*20 {
		t.Errorf("%d trips for %d calls of one counter", r.Trips, r.Admitted)
	}
}

// However slow the server is and whatever a tenant wants, no more calls are there
// than the limit, and another tenant is served.
func TestAGreedyTenantAndASlowServerThroughARealEnvoy(t *testing.T) {
	run := command(t)
	file := filepath.Join(t.TempDir(), "out.json")
	stdout, stderr, err := run("surge", "-d", "1s", "-r", "1", "--workers", "8", "--service", "25ms", "--ceiling", "6", "--greedy", "30", "--rate", "20", "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout, stderr)
	}
	var r surge.Report
	read(t, file, &r)
	if n := r.Refused(); n != 0 || r.Beside[0].Rate <= 0 {
		t.Errorf("%d calls of the modest tenant were refused: %+v", n, r.Beside)
	}
	if n := r.Beside[0].Peak; n > 6 || n < 2 {
		t.Errorf("%d calls at once beside a greedy tenant; the limit is 6", n)
	}
	if len(r.Parts) != 3 {
		t.Fatalf("%+v", r.Parts)
	}
	for _, p := range r.Parts {
		if p.Peak > 6 || p.Peak < 1 || p.Rate <= 0 {
			t.Errorf("%+v", p)
		}
	}
}

func TestAServerOfOnesOwnIsLoaded(t *testing.T) {
	rig, err := setup.Start(t.Context(), setup.Options{Setups: []string{setup.Direct}, Self: program(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer rig.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"load", "--url", rig.Setups[0].URL, "--tool", "echo", "--arguments", `{"text":"it"}`,
		"--expect", `"text":"it"`, "-c", "2", "-d", "200ms", "--warmup", "10ms"}, &stdout, &stderr)
	if code != 0 || !strings.Contains(stdout.String(), "| calls/s |") {
		t.Errorf("%d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	stdout.Reset()
	code = run(t.Context(), []string{"load", "--url", rig.Setups[0].URL, "--tool", "nonesuch", "-c", "1", "-d", "50ms", "--warmup", "0"}, &stdout, &stderr)
	if code != 1 || !strings.Contains(stdout.String(), "rpc_-32602") {
		t.Errorf("%d: calls that fail are no success:\n%s", code, stdout.String())
	}
}

func TestMisuseIsSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a size that is none":      {[]string{"compare", "--sizes", "big"}, 2, "not a size"},
		"a size beyond the limits": {[]string{"compare", "--sizes", "4MiB"}, 2, "not a size"},
		"an era that is none":      {[]string{"compare", "--era", "old"}, 2, "not legacy, modern"},
		"a reply that is none":     {[]string{"compare", "--reply", "xml"}, 2, "neither json nor sse"},
		"a flag that is none":      {[]string{"compare", "--fast"}, 2, "unknown flag"},
		"no server":                {[]string{"load"}, 2, "are needed"},
		"a header that is none":    {[]string{"load", "--url", "http://127.0.0.1:1", "--tool", "x", "-H", "nonsense"}, 2, "Name: value"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tc.args, &stdout, &stderr); code != tc.code || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("%d\n%s", code, stderr.String())
			}
		})
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}
