package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/sink/webhook"
)

const hookSecret = "0123456789abcdef0123456789abcdef"

// hook is a receiver of webhooks that believes only what is signed.
type hook struct {
	mu     sync.Mutex
	lines  []string
	forged int
	status int
	url    string
}

func startHook(t testing.TB) *hook {
	t.Helper()
	h := &hook{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		switch {
		case h.status != 0:
			w.WriteHeader(h.status)
		case err != nil || webhook.Verify([]byte(hookSecret), b, r.Header.Get(webhook.SignatureHeader), time.Now(), time.Minute) != nil:
			h.forged++
			w.WriteHeader(http.StatusUnauthorized)
		default:
			h.lines = append(h.lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
		}
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// seqs returns the receipts that came, in order.
func (h *hook) seqs(t testing.TB) []uint64 {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	return seqs(t, h.lines)
}

func seqs(t testing.TB, lines []string) (out []uint64) {
	t.Helper()
	for _, line := range lines {
		var r struct {
			Seq    uint64
			Record string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Seq > 0 && r.Record == "" {
			out = append(out, r.Seq)
		}
	}
	return out
}

func linesOf(t testing.TB, path string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(string(read(t, path)), "\n"), "\n")
}

type sinkState struct {
	Distrusted         *struct{ Why string }
	Name, State, Error string
	Lag, Delivered     uint64
}

func (p *plant) sinks(t testing.TB) map[string]sinkState {
	t.Helper()
	_, out, words := sallyport(t, "audit", "sinks", "list", "-c", p.Config, "--json")
	var r struct{ Sinks []sinkState }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err, out, words)
	}
	all := make(map[string]sinkState)
	for _, s := range r.Sinks {
		all[s.Name] = s
	}
	return all
}

func (p *plant) calls(t testing.TB, n int) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for i := range n {
		if !acknowledged(client, p.MCP+"/mcp/a", fmt.Sprintf("c%d", i)) {
			t.Fatal("a call failed")
		}
	}
}

func (p *plant) caughtUp(t testing.TB, name string) {
	t.Helper()
	testenv.Eventually(t, time.Minute, name+" has everything", func() bool { s := p.sinks(t)[name]; return s.State == "running" && s.Lag == 0 && s.Delivered > 0 })
}

func TestSinksAreSteeredWhileTheGatewayRuns(t *testing.T) {
	t.Setenv("HOOK_SECRET", hookSecret)
	t.Setenv("MASK_KEY", hookSecret)
	h := startHook(t)
	p := startPlant(t, `sinks:
  - {name: hook, webhook: {url: "`+h.url+`/x", sign_with: "env:HOOK_SECRET"}, batch: {wait: 20ms}, mask: {remove: [source], hash: [exchange], key: "env:MASK_KEY"}}
  - {name: disk, file: {path: disk.jsonl}, batch: {wait: 20ms}}
  - {name: marks, send: [checkpoints], file: {path: marks.jsonl}, batch: {wait: 20ms}}
  - {name: refusals, only: {actions: [deny]}, file: {path: refusals.jsonl}, batch: {wait: 20ms}}
`)
	p.calls(t, 20)
	p.caughtUp(t, "hook")
	p.caughtUp(t, "disk")
	if n := len(h.seqs(t)); n != 40 || h.forged > 0 {
		t.Errorf("%d receipts, %d bodies that were not signed", n, h.forged)
	}
	first := slices.IndexFunc(h.lines, func(line string) bool { return strings.Contains(line, `"seq":1,`) })
	if line := h.lines[max(first, 0)]; strings.Contains(line, `"source":`) || !strings.Contains(line, `"exchange":"hmac:`) || !strings.Contains(line, `"masked":["exchange","hash","source"]`) {
		t.Errorf("%s", line)
	}
	if n := len(seqs(t, linesOf(t, filepath.Join(p.dir, "disk.jsonl")))); n != 40 {
		t.Errorf("%d receipts on disk", n)
	}

	// Pause, over a restart too; the other sinks go on.
	if code, out, words := sallyport(t, "audit", "sinks", "pause", "hook", "-c", p.Config, "--because", "maintenance", "--json"); code != 0 || !strings.Contains(out, `"state": "paused"`) || !json.Valid([]byte(out)) {
		t.Fatal(out, words)
	}
	p.calls(t, 5)
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	planted := filepath.Join(p.receipts, "sinks/refusals/cursor.json") // whoever can write the folder moves a place to the end
	testenv.Write(t, planted, strings.Replace(string(read(t, planted)), `"at":{"segment":`, `"at":{"segment":9`, 1))
	p.Serve(t)
	p.Ready(t)
	if s := p.sinks(t)["refusals"]; s.Distrusted == nil || !strings.Contains(p.get(t, "/metrics"), "\n"+`mcp_gateway_sink_distrusted{sink="refusals"} 1`) {
		t.Errorf("a place that was moved: %+v", s)
	}
	p.calls(t, 5)
	p.caughtUp(t, "disk")
	if s := p.sinks(t)["hook"]; s.State != "paused" || s.Lag < 20 || len(h.seqs(t)) > 41 {
		t.Errorf("%+v, %d receipts", s, len(h.seqs(t)))
	}
	if code, _, words := sallyport(t, "audit", "sinks", "resume", "hook", "-c", p.Config); code != 0 {
		t.Fatal(words)
	}
	p.caughtUp(t, "hook")

	// A receiver that is down, and everything again from a time.
	h.mu.Lock()
	h.status = http.StatusServiceUnavailable
	h.mu.Unlock()
	p.calls(t, 5)
	testenv.Eventually(t, time.Minute, "it fails", func() bool { return p.sinks(t)["hook"].State == "failing" })
	if m := p.get(t, "/metrics"); !strings.Contains(m, "\n"+`mcp_gateway_sink_failing{sink="hook"} 1`) || !strings.Contains(m, "\n"+`mcp_gateway_sink_lag{sink="disk"}`) {
		t.Error("the metrics do not say so")
	}
	if code, out, words := sallyport(t, "audit", "sinks", "replay", "hook", "-c", p.Config, "--from", "1h"); code != 0 || !strings.Contains(out, "from receipt 1 on") {
		t.Fatal(out, words)
	}
	h.mu.Lock()
	h.status, h.lines = 0, nil
	h.mu.Unlock()
	p.caughtUp(t, "hook")
	all := h.seqs(t)
	for i, seq := range all {
		if seq != uint64(i+1) {
			t.Fatalf("place %d has receipt %d", i, seq)
		}
	}
	if len(all) < 73 { // two of each of 35 calls, and three commands
		t.Errorf("%d receipts", len(all))
	}
	_, events, _ := sallyport(t, "audit", "query", p.receipts)
	for _, e := range []string{"sink_pause", "sink_resume", "sink_replay", "sink_distrusted", "maintenance"} {
		if !strings.Contains(events, e) {
			t.Errorf("no receipt of %s", e)
		}
	}

	// A sink that is added while the gateway runs, and one that cannot be.
	text := string(read(t, p.Config))
	testenv.Write(t, p.Config, text+"  - {name: later, file: {path: later.jsonl}, batch: {wait: 20ms}}\n")
	testenv.Eventually(t, time.Minute, "the new sink", func() bool { s := p.sinks(t)["later"]; return s.State == "running" && s.Lag == 0 && s.Delivered > 0 })
	if n := len(seqs(t, linesOf(t, filepath.Join(p.dir, "later.jsonl")))); n < 73 {
		t.Errorf("%d receipts in the new sink", n)
	}

	// The copy of the checkpoints shows that the end of the log is gone, and so do the places of sinks.
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := sallyport(t, "audit", "verify", p.receipts, "--key", p.pub, "--published", filepath.Join(p.dir, "marks.jsonl")); code != 0 {
		t.Error(out)
	}
	p.cut(t)
	if code, _, words := sallyport(t, "audit", "verify", p.receipts, "--key", p.pub); code != 1 || !strings.Contains(words, "sinks/disk/cursor.json: truncated: the sink is through with receipt") {
		t.Errorf("without a copy, exit %d: %s", code, words)
	}
	if code, _, words := sallyport(t, "audit", "verify", p.receipts, "--key", p.pub, "--published", filepath.Join(p.dir, "marks.jsonl")); code != 1 || !strings.Contains(words, "truncated") {
		t.Errorf("exit %d: %s", code, words)
	}
}

// cut removes the last segment and every checkpoint of it, as somebody would who
// has something to hide.
func (p *plant) cut(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob(p.receipts + "/segment-*")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	last := len(files)
	if err := os.Remove(files[last-1]); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.receipts, "checkpoints.jsonl")
	var keep [][]byte
	for line := range bytes.Lines(read(t, path)) {
		if !bytes.Contains(line, fmt.Appendf(nil, `"segment":%d,`, last)) {
			keep = append(keep, line)
		}
	}
	if err := os.WriteFile(path, bytes.Join(keep, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}
