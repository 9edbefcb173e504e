package envoy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// startSallyport runs `sallyport serve` for an Envoy of one's own.
func startSallyport(t *testing.T, more string) (port int, kill func()) {
	t.Helper()
	port = testenv.FreePort(t)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	config := strings.Replace(testenv.Config(t, "  - {name: everything, url: \"http://127.0.0.1:39102/\"}\n", more),
		`extproc: {address: "127.0.0.1:0"}`, fmt.Sprintf(`extproc: {address: "127.0.0.1:%d"}`, port), 1)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testenv.Binary(t), "serve", "-c", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	kill = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("sallyport's log:\n%s", log.String())
		}
	})
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- line
	}()
	select {
	case line := <-ready:
		if !strings.HasPrefix(line, "sallyport ready") {
			t.Fatalf("not ready: %q", line)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("not ready within 2 minutes")
	}
	return port, kill
}

// recorder is an MCP server that notes what reached it.
type recorder struct {
	port int
	n    atomic.Int64
	last atomic.Pointer[http.Request]
	body atomic.Value
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{}
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.n.Add(1)
		r.last.Store(req)
		r.body.Store(string(b))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":7,"result":{}}`)
	}))
	t.Cleanup(u.Close)
	r.port = u.Listener.Addr().(*net.TCPAddr).Port
	return r
}

const (
	toolCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read"}}`
	jsonType = "application/json"
)

// raw sends a request as it is written, and returns the reply's head and body.
func raw(t *testing.T, url, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(c, text) }() // the answer may come before all is read
	b, _ := io.ReadAll(c)
	return string(b)
}

func TestExtAuthzHoldsAgainstAttacks(t *testing.T) {
	service, kill := startSallyport(t, "extauthz: {role: required}\n")
	u := newRecorder(t)
	url := start(t, "static-extauthz.yaml", map[int]int{8080: 0, 9004: 0, 9001: service, 39102: u.port})
	mcp := url + "/mcp"

	t.Run("an allowed call arrives byte for byte, without credentials and forged headers", func(t *testing.T) {
		body := "{ \"jsonrpc\":\"2.0\",\"id\":7, \"method\":\"tools/call\",\"params\":{\"name\":\"read\",\"arguments\":{\"n\":1e400,\"t\":\"\u00e9!\"}}}"
		code, got, _ := post(t, mcp, body, "content-type", jsonType, "authorization", "Bearer secret", "x-sallyport-version", "v9",
			"x-sallyport-server", "other", "x-forwarded-user", "root", "accept-encoding", "gzip", "mcp-name", "other", "mcp-session-id", "s1")
		if code != 200 || !strings.Contains(got, "result") || u.body.Load() != body {
			t.Fatalf("got %d %s; the server got %v", code, got, u.body.Load())
		}
		for _, name := range []string{"Authorization", "X-Sallyport-Version", "X-Sallyport-Server", "X-Forwarded-User", "Accept-Encoding", "Mcp-Name"} {
			if v := u.last.Load().Header.Get(name); v != "" {
				t.Errorf("%s reached the server: %q", name, v)
			}
		}
		if u.last.Load().Header.Get("Mcp-Session-Id") != "s1" {
			t.Error("the session id was lost")
		}
	})
	t.Run("GET and DELETE pass without a body", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			req, err := http.NewRequestWithContext(t.Context(), method, mcp, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", "text/event-stream")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", method, resp.StatusCode)
			}
		}
	})
	before := u.n.Load()
	head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
	modern := strings.Replace(toolCall, `"read"`, `"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`, 1)
	for _, c := range []struct{ name, text, status, want string }{
		{"a body without declared length", head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(toolCall), toolCall), "411", `"jsonrpc"`},
		{"the forged mark of a whole body", head + "X-Envoy-Auth-Partial-Body: false\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(toolCall), toolCall), "411", `"jsonrpc"`},
		{"bytes that are not UTF-8", head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(toolCall), strings.Replace(toolCall, "read", "re\xffd", 1)), "400", `-32700`},
		{"two lines of Mcp-Name", head + fmt.Sprintf("Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: read\r\nMcp-Name: kill\r\nContent-Length: %d\r\n\r\n%s", len(modern), modern), "400", `-32020`},
		{"a header that names another tool than the body", head + fmt.Sprintf("Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: kill\r\nContent-Length: %d\r\n\r\n%s", len(modern), modern), "400", `-32020`},
		{"two content types", head + fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(toolCall), toolCall), "415", `"id":7`},
		{"a body over the limit", head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 5<<20, strings.Repeat(" ", 5<<20)), "413", `"jsonrpc"`},
		{"an unknown method gets 200 with the client's own id", head + "Content-Length: 45\r\n\r\n" + `{"jsonrpc":"2.0","id":9,"method":"tools/boo"}`, "200", `"id":9`},
		{"a method by GET with a body", strings.Replace(head, "POST", "GET", 1) + "Content-Length: 2\r\n\r\n{}", "400", `"jsonrpc"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := raw(t, url, c.text)
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || !strings.Contains(got, c.want) || !strings.Contains(got, "content-type: application/json") {
				t.Errorf("got %q, want %s with %s", got, c.status, c.want)
			}
		})
	}
	t.Run("nothing passes while Sallyport is away", func(t *testing.T) {
		kill()
		code, body, h := post(t, mcp, toolCall, "content-type", jsonType)
		isError(t, code, body, h, 503, `{"jsonrpc":"2.0","error"`)
	})
	if n := u.n.Load() - before; n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// Settings that operators get wrong must not open a way round the judgement.
func TestExtAuthzHoldsInABadlyConfiguredEnvoy(t *testing.T) {
	service, _ := startSallyport(t, "")
	const limit = 4096
	for _, tt := range []struct {
		name, from, to string
		body           func() (header, body string)
		status         string
	}{
		{"a cut body", "max_request_bytes: 4194304\n                allow_partial_message: false", fmt.Sprintf("max_request_bytes: %d\n                allow_partial_message: true", limit), func() (string, string) {
			b := toolCall + strings.Repeat(" ", 2*limit)
			return fmt.Sprintf("Content-Length: %d\r\n\r\n", len(b)), b
		}, "413"},
		{"a body that fills the buffer to the last byte, and then goes on", "max_request_bytes: 4194304\n                allow_partial_message: false", fmt.Sprintf("max_request_bytes: %d\n                allow_partial_message: true", limit), func() (string, string) {
			first := toolCall + strings.Repeat(" ", limit-len(toolCall))
			return "Transfer-Encoding: chunked\r\n\r\n", fmt.Sprintf("%x\r\n%s\r\n", len(first), first) + "PAUSE" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(toolCall), toolCall)
		}, "411"},
		{"bytes that are not UTF-8, replaced", "pack_as_bytes: true", "pack_as_bytes: false", func() (string, string) {
			b := strings.Replace(toolCall, "read", "re\xffd", 1)
			return fmt.Sprintf("Content-Length: %d\r\n\r\n", len(b)), b
		}, "503"},
		{"two lines of a header, joined", "encode_raw_headers: true", "encode_raw_headers: false", func() (string, string) {
			return fmt.Sprintf("Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\nContent-Length: %d\r\n\r\n", len(toolCall)), toolCall
		}, "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newRecorder(t)
			url := start(t, "static-extauthz.yaml", map[int]int{8080: 0, 9004: 0, 9001: service, 39102: u.port}, tt.from, tt.to)
			header, body := tt.body()
			c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n" + header
			first, rest, _ := strings.Cut(body, "PAUSE")
			_, _ = io.WriteString(c, head+first)
			if rest != "" {
				time.Sleep(100 * time.Millisecond) // the buffer is full, and Envoy asks
				_, _ = io.WriteString(c, rest)
			}
			got, _ := io.ReadAll(c)
			if !strings.HasPrefix(string(got), "HTTP/1.1 "+tt.status) {
				t.Errorf("got %q, want %s", got, tt.status)
			}
			if n := u.n.Load(); n != 0 {
				t.Errorf("%d requests reached the server: %v", n, u.body.Load())
			}
		})
	}
}
