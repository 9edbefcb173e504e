package resilience

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// exit waits for the end and returns the exit code, -1 for a signal.
func exit(t testing.TB, p *testenv.Process) int {
	t.Helper()
	select {
	case <-p.Ended:
		return p.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		t.Fatalf("%s did not end in a minute\n%s", p.Path, p.Text())
		return 0
	}
}

// startPlant starts a plant whose receipts nobody reads.
func startPlant(t testing.TB, servers, more string) *testenv.Plant {
	t.Helper()
	return testenv.StartPlant(t, t.TempDir(), servers, "receipts: {path: receipts.jsonl}\n"+more)
}

func get(url string) (int, string) {
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var b strings.Builder
	_, err = bufio.NewReader(resp.Body).WriteTo(&b)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, b.String()
}

// status is what tests read of /v1/status.
type status struct {
	Ready         bool
	NotReady      string `json:"not_ready"`
	Servers       int
	OpenStreams   int `json:"open_streams"`
	EnvoyRestarts int `json:"envoy_restarts"`
	Config        struct {
		Error   string
		Refused int `json:"refused_changes"`
	}
	Receipts struct {
		Written, Dropped, Failed uint64
		Trouble                  string
	}
}

func statusOf(t testing.TB, admin string) status {
	t.Helper()
	var s status
	_, body := get(admin + "/v1/status")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("status: %v in %s", err, body)
	}
	return s
}

// metric returns a metric without attributes, -1 if there is none.
func metric(admin, name string) float64 {
	_, body := get(admin + "/metrics")
	for line := range strings.SplitSeq(body, "\n") {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				return f
			}
		}
	}
	return -1
}

// children returns the processes that pid has started.
func children(t testing.TB, pid int) []int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has gone
		}
		if _, rest, ok := strings.Cut(string(b), ") "); ok {
			if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(pid) {
				if n, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// alive reports whether a process runs that is not just waiting to be reaped.
func alive(pid int) bool {
	s := state(pid)
	return s != "" && s != "Z"
}

// state is the letter that the kernel has for what a process does, "" when it is gone.
func state(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	letter, _, _ := strings.Cut(rest, " ")
	return letter
}
