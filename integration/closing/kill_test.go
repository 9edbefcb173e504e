package closing

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// audit runs `sallyport audit` and returns what it prints and says.
func audit(t testing.TB, args ...string) (code int, out, words string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(testenv.Binary(t), append([]string{"audit"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// names are the tools that printed receipts are about.
func names(t testing.TB, lines string) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(lines) {
		var r receipt
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, r.Name)
	}
	return strings.Join(out, " ")
}

// A killed gateway writes no ends. What was open then is told by name afterwards, and
// what had ended before, in whatever way, is not.
func TestAStreamThatAKillCutOffIsNamedAndNoOther(t *testing.T) {
	dir := t.TempDir()
	receipts, key := filepath.Join(dir, "receipts"), filepath.Join(dir, "sign")
	testenv.SigningKey(t, key)
	p := testenv.StartPlant(t, dir, "  - {name: one, url: "+server(t).url+"/}\n", "receipts: {directory: receipts, sign_with: \"file:"+key+".key\"}\n")
	g := &testenv.Gateway{MCP: p.MCP}
	call(t, g, "plain", "", nil, nil)
	call(t, g, "stream", "", nil, nil)    // ends with its answer
	call(t, g, "endless", "", nil, first) // ends because its client leaves
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		call(t, g, "endless2", "", nil, nil)
	}()
	onRecord := func(segment string, is func(receipt) bool) bool {
		text, err := os.ReadFile(filepath.Join(receipts, segment))
		return err == nil && slices.ContainsFunc(readable(t, text), is)
	}
	testenv.Eventually(t, time.Minute, "one stream that is open, and one that ended", func() bool {
		return onRecord("segment-00000001.jsonl", func(r receipt) bool { return r.Name == "endless2" && r.Stream && r.Closed == "" }) &&
			onRecord("segment-00000001.jsonl", func(r receipt) bool { return r.Name == "endless" && r.Closed != "" })
	})
	code, out, words := audit(t, "query", receipts, "--open")
	if code != 0 || names(t, out) != "endless2" || !strings.Contains(words, "1 exchanges have no end on record: 0 began before") {
		t.Errorf("while it goes on: exit %d, %s\n%s", code, out, words)
	}

	if err := p.Gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Gateway.Ended
	<-cut // its client is not left waiting
	p.Serve(t)
	p.Ready(t)
	call(t, g, "stream2", "", nil, nil)

	testenv.Eventually(t, time.Minute, "the end of the stream after it", func() bool {
		return onRecord("segment-00000002.jsonl", func(r receipt) bool { return r.Name == "stream2" && r.Closed == "answered" })
	})
	code, out, words = audit(t, "query", receipts, "--open")
	if code != 0 || names(t, out) != "endless2" || !strings.Contains(words, "1 exchanges have no end on record: 1 began before the gateway's last start") {
		t.Errorf("exit %d, %s\n%s", code, out, words)
	}
	if code, out, _ := audit(t, "query", receipts, "--open", "--tool", "stream"); code != 1 || out != "" {
		t.Errorf("a stream that ended in order: exit %d, %s", code, out)
	}
	code, out, words = audit(t, "report", receipts, "--framework", "cosai", "-c", p.Config, "--key", key+".pub")
	if code != 0 || !strings.Contains(out, "the end of 1 exchanges, of them 1 that a gateway's end cut off") {
		t.Errorf("the report: exit %d, %s%.600s", code, words, out)
	}
	if code, out, words := audit(t, "verify", receipts, "--key", key+".pub"); code != 0 || !strings.Contains(words, "1 times not stopped in order") {
		t.Errorf("exit %d, %s%s", code, out, words)
	}
}
