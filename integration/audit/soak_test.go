package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// number reads how much a soak does from the environment.
func number(t testing.TB, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(name))
	if os.Getenv(name) != "" && err != nil {
		t.Fatal(name, err)
	}
	if err != nil {
		return otherwise
	}
	return n
}

// disk is a small file system of its own, which can be filled.
type disk struct{ path, ballast string }

func mount(t testing.TB, path string, size int) *disk {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", path, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		testenv.Missing(t, "the right to mount a small disk ("+err.Error()+")")
	}
	t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	return &disk{path, filepath.Join(path, "ballast")}
}

func (d *disk) fill(t testing.TB) {
	t.Helper()
	f, err := os.Create(d.ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); len(b) > 0; {
		if _, err := f.Write(b); err != nil {
			b = b[:len(b)/2]
		}
	}
}

func (d *disk) free(t testing.TB) {
	t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsLostOnTheWayToAnySink is the soak of receipts. Its long form is
// `make soak-receipts`. Sallyport is killed at random, its disk is filled, and
// each system is stopped and slowed in turn, under load. Then every call that
// was acknowledged has exactly one receipt in the log, the log verifies, and each
// system has every receipt at least once, none of them for the first time after
// a later one.
func TestNothingIsLostOnTheWayToAnySink(t *testing.T) {
	receipts, kills := number(t, "SOAK_RECEIPTS", 1500), number(t, "SOAK_KILLS", 3)
	t.Setenv("HOOK_SECRET", hookSecret)
	dir := t.TempDir()
	d := mount(t, filepath.Join(dir, "receipts"), 96<<20+receipts*2400)
	all := make(map[string]*collected)
	for _, name := range []string{"hook", "elastic", "splunk", "otlp", "syslog", "kafka", "disk"} {
		all[name] = newCollected(name)
	}
	broker, readTopic := all["kafka"].kafka(t)
	const often = "batch: {wait: 20ms}, timeout: 3s, retry_at_most: 300ms"
	p := startPlantIn(t, dir, startServer(t, "{}"), `sinks:
  - {name: hook, `+often+`, webhook: {url: "`+all["hook"].webhook(t)+`", sign_with: "env:HOOK_SECRET"}}
  - {name: elastic, `+often+`, elasticsearch: {url: "`+all["elastic"].elastic(t)+`"}}
  - {name: splunk, `+often+`, splunk: {url: "`+all["splunk"].splunk(t)+`", token: "env:HOOK_SECRET"}}
  - {name: otlp, `+often+`, otlp: {endpoint: "`+all["otlp"].otlp(t)+`", protocol: http}}
  - {name: syslog, `+often+`, syslog: {address: "`+all["syslog"].syslog(t)+`", protocol: tcp}}
  - {name: kafka, `+often+`, kafka: {brokers: ["`+broker+`"], topic: receipts}}
  - {name: disk, `+often+`, file: {path: disk.jsonl, rotate_at: 8GiB}}
`)
	began := time.Now()
	c := p.call(8)
	faults := []string{"hook", "elastic", "splunk", "otlp", "syslog", "kafka", "disk"}
	for i := range kills {
		target := (receipts / 2) * (i + 1) / (kills + 1) // two receipts a call
		testenv.Eventually(t, time.Hour, "load", func() bool { p.Lives(t); return c.count() >= target })
		for _, name := range faults {
			all[name].state.Store(well)
		}
		sick := faults[i%len(faults)]
		all[sick].state.Store(int32(down + i/len(faults)%2))
		all[faults[(i+1)%len(faults)]].state.Store(slow)
		time.Sleep(rand.N(50 * time.Millisecond))
		if i == kills/2 { // with a full disk, and so in the middle of something
			d.fill(t)
			testenv.Eventually(t, time.Minute, "receipts that are not kept", func() bool { code, _ := p.ask("/readyz"); return code == http.StatusServiceUnavailable })
		}
		if err := p.Gateway.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.Gateway.Ended
		if i == kills/2 {
			d.free(t)
		}
		p.Serve(t)
		p.Ready(t)
	}
	testenv.Eventually(t, time.Hour, "load", func() bool { p.Lives(t); return c.count() >= receipts/2 })
	for _, name := range faults {
		all[name].state.Store(well)
	}
	c.stop()
	load := time.Since(began)
	p.drained(t, len(faults))
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
	for line := range bytes.Lines(read(t, filepath.Join(dir, "disk.jsonl"))) {
		all["disk"].take(string(line))
	}

	code, r := p.verify(t)
	if code != 0 || !r.OK || r.Interruptions != kills {
		t.Errorf("exit %d, %+v", code, r)
		for _, f := range r.Findings {
			t.Log(string(f))
		}
	}
	last := p.log(t, c.acked)
	readTopic(last)
	for name, got := range all {
		missing := got.lacks(last)
		if missing > 0 || got.mixed > 0 {
			t.Errorf("%s: %d receipts are missing, %d came too late", name, missing, got.mixed)
		}
		t.Logf("%s: %d receipts, %d came again", name, len(got.seen), got.again)
	}
	t.Logf("%d calls acknowledged, %d receipts, %d kills, %d segments; load %s, all delivered after %s", len(c.acked), last, kills, r.Segments, load.Round(time.Second), time.Since(began).Round(time.Second))
}

var (
	receiptSeq = regexp.MustCompile(`^\{"v":1,"replica":"[0-9a-f]{16}","seq":(\d+),`)
	callID     = regexp.MustCompile(`"direction":"to_server","action":"allow".*"id":"(call-\d+-\d+)"`)
)

// log holds the log against what was acknowledged, and returns the last receipt.
func (p *plant) log(t testing.TB, acked []string) (last uint64) {
	t.Helper()
	files, err := filepath.Glob(p.receipts + "/segment-*")
	if err != nil {
		t.Fatal(err)
	}
	kept := make(map[string]int)
	for _, f := range files {
		for line := range bytes.Lines(read(t, f)) {
			m := receiptSeq.FindSubmatch(line)
			if m == nil || line[len(line)-1] != '\n' {
				continue
			}
			seq, err := strconv.ParseUint(string(m[1]), 10, 64)
			if err != nil || seq != last+1 {
				t.Fatalf("receipt %d comes after %d", seq, last)
			}
			last = seq
			if m := callID.FindSubmatch(line); m != nil {
				kept[string(m[1])]++
			}
		}
	}
	bad := 0
	for _, id := range acked {
		if kept[id] != 1 {
			bad++
		}
	}
	if bad > 0 {
		t.Errorf("%d calls of %d that were acknowledged have not exactly one receipt", bad, len(acked))
	}
	return last
}

// drained waits until each sink has all there is.
func (p *plant) drained(t testing.TB, sinks int) {
	t.Helper()
	testenv.Eventually(t, 10*time.Minute, "every sink has everything", func() bool {
		_, body := p.ask("/v1/sinks")
		var r struct{ Sinks []sinkState }
		if json.Unmarshal([]byte(body), &r) != nil || len(r.Sinks) != sinks {
			return false
		}
		for _, s := range r.Sinks {
			if s.State != "running" || s.Lag > 0 {
				return false
			}
		}
		return true
	})
}

// ask asks the admin interface, which may not be there.
func (p *plant) ask(path string) (code int, body string) {
	resp, err := http.Get(p.Admin + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(b)
}
