package resilience

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// follow opens an event stream and returns all it holds when it has ended.
func follow(url, id string, open func()) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":"stream"}}`, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	var all bytes.Buffer
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if all.Len() == 0 {
			open()
		}
		all.WriteString(sc.Text() + "\n")
	}
	return all.String(), sc.Err() // nil only after a proper end
}

// endWell checks open streams and slow calls across stop.
func endWell(t *testing.T, a *upstream, url string, stop func()) {
	t.Helper()
	var started, all sync.WaitGroup
	for i := range 5 {
		started.Add(1)
		once := sync.OnceFunc(started.Done)
		all.Go(func() {
			defer once()
			id := fmt.Sprintf("stream-%d", i)
			got, err := follow(url, id, once)
			events := strings.Split(strings.TrimSpace(got), "\n\n")
			last := events[len(events)-1]
			if err != nil || !strings.Contains(last, `"id":"`+id+`"`) || !strings.Contains(last, "gateway_stopping") {
				t.Errorf("a stream ended with %v after %q", err, last)
			}
		})
	}
	started.Wait()
	for range 5 {
		all.Go(func() {
			if r := call(&http.Client{Transport: &http.Transport{}}, url, "slow"); r.from() != "a" {
				t.Errorf("an open call: %v", r)
			}
		})
	}
	testenv.Eventually(t, time.Minute, "calls under way", func() bool { return a.slow.Load() == 5 || t.Failed() })
	stop()
	all.Wait()
}

// receipts returns how many receipts of each direction an id has, and whether
// an exchange and direction has more than one.
func receipts(t testing.TB, path string) map[string]map[string]int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]int{}
	for n, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		var r struct {
			ID                      any
			Direction, Kind, Action string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s:%d: %v in %q", path, n+1, err, line)
		}
		id, ok := r.ID.(string)
		if !ok {
			continue
		}
		if out[id] == nil {
			out[id] = map[string]int{}
		}
		out[id][r.Direction]++
	}
	return out
}

func TestSIGTERMUnderLoadEndsEverythingReadably(t *testing.T) {
	a := startUpstream(t, "a")
	dir := t.TempDir()
	path, out, tmp := filepath.Join(dir, "sallyport.yaml"), filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	text := testenv.Config(t, "  - {name: a, url: "+a.url+"}\n", "limits: {drain: 6s}\n")
	text = strings.Replace(text, "receipts: {", "receipts: {path: "+out+"}\n#", 1)
	testenv.Write(t, path, text)
	binary := testenv.Binary(t) // before the folder for its temporary files is another
	t.Setenv("TMPDIR", tmp)
	p := testenv.Launch(t, binary, "run", "-c", path, "--envoy", testenv.Envoy(t))
	mcp := ""
	testenv.Eventually(t, time.Minute, "readiness", func() bool {
		_, rest, ok := strings.Cut(p.Text(), "sallyport ready mcp=")
		mcp, _, _ = strings.Cut(rest, " ")
		return ok
	})
	// After the stop, nobody has to take connections.
	var (
		mu     sync.Mutex
		untold []string
	)
	fine := func(r reply) string {
		if refused(r) {
			return "nobody there"
		}
		if dropped(r) {
			mu.Lock()
			defer mu.Unlock()
			untold = append(untold, r.id)
			return "not taken"
		}
		return served("a")(r)
	}
	l := startLoad(t, mcp+"/mcp/a", 4, fine)
	for i := range 5 { // reloads under load
		testenv.Write(t, path, strings.Replace(text, "  - {name: a", fmt.Sprintf("  - {name: other%d, url: %q}\n  - {name: a", i, a.url), 1))
		time.Sleep(300 * time.Millisecond)
	}
	endWell(t, a, mcp+"/mcp/a", func() {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	if code := exit(t, p); code != 0 {
		t.Errorf("exit code %d", code)
	}
	l.check(t, "clients of a gateway that stops")
	have := receipts(t, out)
	for id := range l.ids {
		if got := have[id]; len(got) != 2 || got["to_server"] != 1 || got["to_client"] != 1 {
			t.Errorf("receipts of %s: %v, want one for the call and one for its answer", id, got)
		}
	}
	for _, id := range untold {
		if got := have[id]; len(got) != 0 {
			t.Errorf("the connection of %s was reset after it was judged: %v", id, got)
		}
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("%v are left in the temporary folder", left)
	}
	for line := range strings.SplitSeq(p.Text(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("a normal stop logs an error: %s", line)
		}
	}
}

// An Envoy of somebody else's lives on: calls that it has open must finish
// before the service that judges them goes.
func TestSIGTERMOfServeLetsOpenCallsFinish(t *testing.T) {
	a := startUpstream(t, "a")
	p := startPlant(t, "  - {name: a, url: "+a.url+"}\n", "limits: {drain: 4s}\n")
	endWell(t, a, p.MCP+"/mcp/a", func() {
		if err := p.Gateway.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		testenv.Eventually(t, time.Minute, "unreadiness", func() bool {
			code, why := get(p.Admin + "/readyz")
			return code == 503 && strings.Contains(why, "stopping")
		})
	})
	if code := exit(t, p.Gateway); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := call(http.DefaultClient, p.MCP+"/mcp/a", "echo"); unjudged(r) != "guard_error" {
		t.Errorf("afterwards: %v", r)
	}
}
