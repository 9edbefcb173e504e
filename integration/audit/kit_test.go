// Package audit kills the real gateway, and has auditors look at what it leaves.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// plant is one that signs and publishes its receipts.
type plant struct {
	*testenv.Plant
	dir, receipts, published, pub string
}

// startPlant starts a plant with more configuration, in which DIR is its folder.
func startPlant(t testing.TB, more string) *plant {
	t.Helper()
	return startPlantIn(t, t.TempDir(), startServer(t, "{}"), more)
}

// startServer starts an MCP server that answers every call with this result.
func startServer(t testing.TB, result string) string {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var call struct{ ID json.RawMessage }
		if err != nil || json.Unmarshal(b, &call) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, result)
	}))
	t.Cleanup(func() { upstream.CloseClientConnections(); upstream.Close() })
	return upstream.URL
}

// startPlantIn does so in a folder, before a server.
func startPlantIn(t testing.TB, dir, upstream, more string) *plant {
	t.Helper()
	testenv.SigningKey(t, filepath.Join(dir, "sign"))
	return &plant{
		dir: dir, receipts: filepath.Join(dir, "receipts"), published: filepath.Join(dir, "published.jsonl"), pub: filepath.Join(dir, "sign.pub"),
		Plant: testenv.StartPlant(t, dir, fmt.Sprintf("  - {name: a, url: %q}\n", upstream+"/"), fmt.Sprintf(`receipts:
  directory: receipts
  sign_with: file:%s
  publish: published.jsonl
  segment_size: 256KiB
  checkpoint_every: 100ms
%s`, filepath.Join(dir, "sign.key"), strings.ReplaceAll(more, "DIR", dir))),
	}
}

// sallyport runs a command of the real binary.
func sallyport(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, words bytes.Buffer
	cmd := exec.Command(testenv.Binary(t), args...)
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), words.String()
}

// callers call from several clients until stopped, and note which calls were
// acknowledged: whose result came back.
type callers struct {
	mu    sync.Mutex
	acked []string
	stop  func()
}

func (p *plant) call(clients int) *callers {
	c, done := &callers{}, make(chan struct{})
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				id := fmt.Sprintf("call-%d-%d", n, i)
				if acknowledged(client, p.MCP+"/mcp/a", id) {
					c.mu.Lock()
					c.acked = append(c.acked, id)
					c.mu.Unlock()
				}
			}
		})
	}
	c.stop = func() { close(done); all.Wait() }
	return c
}

func (c *callers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

func acknowledged(c *http.Client, url, id string) bool {
	r, err := testenv.PostBy(context.Background(), c, url, fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}`, id),
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	var m struct {
		ID     string
		Result json.RawMessage
	}
	return err == nil && r.StatusCode == http.StatusOK && json.Unmarshal([]byte(r.Text), &m) == nil && m.ID == id && m.Result != nil
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stop ends the gateway in order.
func (p *plant) stop(t testing.TB) error {
	t.Helper()
	if err := p.Gateway.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-p.Gateway.Ended
	if code := p.Gateway.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d: %s", code, p.Gateway.Text())
	}
	return nil
}

func (p *plant) get(t testing.TB, path string) string {
	t.Helper()
	resp, err := http.Get(p.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
