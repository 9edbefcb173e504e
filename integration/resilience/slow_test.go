package resilience

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// A server in league with its clients sends as fast as it can to clients that read
// nothing. What waits in Envoy and in the gateway for each of them is bounded; it
// was 16 MiB, the window of HTTP/2 between the two.
func TestClientsThatReadNothingCostEnvoyLittle(t *testing.T) {
	const clients, each = 5, 10 << 10 // KiB
	var sent atomic.Int64
	text := "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"" + strings.Repeat("x", 100_000) + "\"}}\n\n"
	flood := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			n, err := io.WriteString(w, text)
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	}))
	t.Cleanup(func() { flood.CloseClientConnections(); flood.Close() })
	g := testenv.Start(t, "  - {name: flood, url: "+flood.URL+"}\n", "guards: {flow: {labels: [untrusted]}}\n")
	envoy := children(t, g.Cmd.Process.Pid)
	if len(envoy) != 1 {
		t.Fatalf("the gateway has the children %v", envoy)
	}
	before := resident(t, envoy[0])
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"flood","arguments":{}}}`
	for range clients {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.MCP, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprintf(c, "POST /mcp/flood HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %d\r\n\r\n%s", len(call), call)
	}
	last := int64(-1)
	testenv.Eventually(t, 30*time.Second, "the server to be held up", func() bool {
		now := sent.Load()
		still := now > 0 && now == last
		last = now
		time.Sleep(500 * time.Millisecond)
		return still
	})
	if grown := resident(t, envoy[0]) - before; grown > clients*each {
		t.Errorf("Envoy has grown by %d KiB for %d clients that read nothing", grown, clients)
	}
}

// resident returns the memory of a process in KiB.
func resident(t testing.TB, pid int) (kib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if _, err := fmt.Sscan(v, &kib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kib
}
