package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/integration/testenv"
)

// report is what tests read of `audit verify --json`.
type report struct {
	OK            bool
	Receipts      uint64
	Segments      int
	Interruptions int
	Signatures    string
	Findings      []json.RawMessage
}

func (p *plant) verify(t testing.TB) (code int, r report) {
	t.Helper()
	code, out, words := sallyport(t, "audit", "verify", p.receipts, "--key", p.pub, "--published", p.published, "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out, words)
	}
	return code, r
}

func TestAKilledGatewayOwesNoReceipt(t *testing.T) {
	const kills = 5
	p := startPlant(t, "")
	c := p.call(8)
	for i := range kills {
		before := c.count()
		testenv.Eventually(t, time.Minute, "load", func() bool { return c.count() > before+100 })
		time.Sleep(time.Duration(i) * 3 * time.Millisecond)
		if err := p.Gateway.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.Gateway.Ended
		p.Serve(t)
		p.Ready(t)
	}
	before := c.count()
	testenv.Eventually(t, time.Minute, "load", func() bool { return c.count() > before+50 })
	c.stop()
	if err := p.Gateway.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Gateway.Ended
	if code := p.Gateway.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}

	code, r := p.verify(t)
	if code != 0 || !r.OK || r.Interruptions != kills || r.Signatures != "valid" {
		t.Errorf("exit %d, %+v", code, r)
		for _, f := range r.Findings {
			t.Log(string(f))
		}
	}
	kept := p.kept(t)
	for _, id := range c.acked {
		if kept[id] != 1 {
			t.Errorf("%s was acknowledged and has %d receipts", id, kept[id])
		}
	}
	t.Logf("%d calls acknowledged, %d receipts in %d segments, %d kills", len(c.acked), r.Receipts, r.Segments, kills)
	p.proves(t)
	p.catches(t)
}

// kept counts, by the ids of calls, the receipts that let them pass, and holds
// each line against the schema.
func (p *plant) kept(t testing.TB) map[string]int {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testenv.Root(), "docs/receipts.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(p.receipts + "/segment-*")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]int)
	for _, f := range files {
		for line := range bytes.Lines(read(t, f)) {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err != nil {
				continue // half a line, which verify has accounted for
			}
			if err := schema.Validate(v); err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			m := v.(map[string]any)
			if m["direction"] == "to_server" && m["action"] == "allow" {
				if id, ok := m["id"].(string); ok {
					out[id]++
				}
				if m["trace_id"] != "0af7651916cd43dd8448eb211c80319c" || m["params_sha256"] == nil || m["config"] == nil {
					t.Fatalf("%s", line)
				}
			}
		}
	}
	return out
}

// proves has one receipt proved without the directory.
func (p *plant) proves(t testing.TB) {
	t.Helper()
	code, out, words := sallyport(t, "audit", "query", p.receipts, "--server", "a", "--tool", "echo", "--limit", "1")
	var line struct{ Seq uint64 }
	if err := json.Unmarshal([]byte(out), &line); code != 0 || err != nil {
		t.Fatal(code, err, words)
	}
	code, proof, words := sallyport(t, "audit", "prove", p.receipts, "--seq", strconv.FormatUint(line.Seq, 10))
	if code != 0 {
		t.Fatal(words)
	}
	for text, want := range map[string]int{proof: 0, strings.Replace(proof, "allow", "deny_", 1): 1} {
		path := filepath.Join(t.TempDir(), "proof.json")
		testenv.Write(t, path, text)
		if code, out, words := sallyport(t, "audit", "verify", "--proof", path, "--key", p.pub); code != want {
			t.Errorf("exit %d, want %d: %s%s", code, want, out, words)
		}
	}
	if code, out, _ := sallyport(t, "audit", "export", p.receipts, "--key", p.pub, "--until", "1s"); code != 0 || !strings.Contains(out, `"record":"segment"`) {
		t.Errorf("export: exit %d, %.200s", code, out)
	}
}

// catches alters one byte, and has the command say where.
func (p *plant) catches(t testing.TB) {
	t.Helper()
	path := filepath.Join(p.receipts, "segment-00000002.jsonl")
	text := read(t, path)
	lines := bytes.SplitAfter(text, []byte("\n"))
	at := len(lines) / 2
	for !bytes.Contains(lines[at], []byte(`"action":"allow"`)) { // of the ledger's own records there are few
		at--
	}
	lines[at] = bytes.Replace(lines[at], []byte(`"action":"allow"`), []byte(`"action":"deny_"`), 1)
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, words := sallyport(t, "audit", "verify", p.receipts, "--key", p.pub)
	if want := fmt.Sprintf("segment-00000002.jsonl:%d: altered", at+1); code != 1 || !strings.Contains(words, want) {
		t.Errorf("exit %d, want 1 and %q: %s", code, want, words)
	}
	if code, out, _ := sallyport(t, "audit", "export", p.receipts, "--key", p.pub); code != 1 || out != "" {
		t.Errorf("export of an altered directory: exit %d, %d bytes", code, len(out))
	}
}
