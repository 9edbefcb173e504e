package xds

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/registry"
)

// plane is an xDS server that is being run, on an address that stays the same
// when it is restarted.
type plane struct {
	*Server
	address string
	stop    func()
}

func startPlane(t testing.TB, address string, o Options) *plane {
	t.Helper()
	lis, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := New(slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})), o)
	g := grpc.NewServer(grpc.WaitForHandlers(true)) // they log to the test
	s.Register(g)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	wg.Go(func() { _ = g.Serve(lis) })
	var once sync.Once
	p := &plane{s, lis.Addr().String(), func() { once.Do(func() { cancel(); g.Stop(); wg.Wait() }) }}
	t.Cleanup(p.stop)
	return p
}

type testWriter struct{ testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.Logf("%s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}

// envoy is a running Envoy.
type envoy struct {
	admin string
	cmd   *exec.Cmd
	log   string
}

// startEnvoy runs Envoy with the given bootstrap file content until the test
// ends.
func startEnvoy(t testing.TB, config []byte) *envoy {
	t.Helper()
	bin := testenv.Envoy(t)
	dir := t.TempDir()
	path, adminFile, logFile := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin"), filepath.Join(dir, "log")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-c", path, "--admin-address-path", adminFile, "--concurrency", "2",
		"--use-dynamic-base-id", "--drain-time-s", "2", "-l", "warn")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e := &envoy{cmd: cmd, log: logFile}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			out, _ := os.ReadFile(logFile)
			t.Logf("envoy's log:\n%s", out)
		}
	})
	eventually(t, "envoy's admin interface", func() bool {
		b, err := os.ReadFile(adminFile)
		e.admin = "http://" + string(b)
		return err == nil && len(b) > 0
	})
	return e
}

// listener returns the address of the listener once Envoy has it.
func (e *envoy) listener(t testing.TB) string {
	t.Helper()
	var address string
	eventually(t, "the listener", func() bool {
		var out struct {
			Statuses []struct {
				Name    string `json:"name"`
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"local_address"`
			} `json:"listener_statuses"`
		}
		if json.Unmarshal([]byte(e.get(t, "/listeners?format=json")), &out) != nil {
			return false
		}
		for _, l := range out.Statuses {
			if l.Name == "mcp" && strings.HasPrefix(e.get(t, "/ready"), "LIVE") {
				address = net.JoinHostPort(l.Address.Socket.Address, strconv.Itoa(l.Address.Socket.Port))
				return true
			}
		}
		return false
	})
	return address
}

func (e *envoy) get(t testing.TB, path string) string {
	t.Helper()
	resp, err := http.Get(e.admin + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(b)
}

// stat returns one number of Envoy's statistics, 0 when absent.
func (e *envoy) stat(t testing.TB, name string) int {
	t.Helper()
	for line := range strings.Lines(e.get(t, "/stats?filter="+url.QueryEscape("^"+name+"$"))) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && k == name {
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return n
		}
	}
	return 0
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	testenv.Eventually(t, time.Minute, what, ok)
}

// adsEnvoy starts an Envoy that gets everything from p.
func adsEnvoy(t testing.TB, p *plane, id string) *envoy {
	t.Helper()
	b := DefaultBootstrap()
	b.NodeID, b.XDS, b.AdminPort = id, p.address, 0
	y, err := Bootstrap(b)
	if err != nil {
		t.Fatal(err)
	}
	return startEnvoy(t, y)
}

// testSettings listen on a free port, without ext_proc.
func testSettings() Settings {
	s := DefaultSettings()
	s.Listeners[0].Port = 0
	s.NoExtProc = true
	return s
}

// upstream is an MCP server as far as routes are concerned: it answers with its
// name, the path it was asked for and the request's headers.
func upstream(t testing.TB, name string) *httptest.Server {
	t.Helper()
	u := httptest.NewServer(echo(name))
	t.Cleanup(u.Close)
	return u
}

func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case r.URL.Path == "/slow-health":
			time.Sleep(300 * time.Millisecond)
		case r.URL.Path == "/unhealthy", r.URL.Path == "/healthy-unless-sick" && name == "sick":
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("server", "leaky/1.0")
		w.Header().Set("x-powered-by", "leaky")
		for k, v := range r.Header {
			w.Header()["Got-"+k] = v
		}
		w.Header().Set("got-host", r.Host)
		fmt.Fprintf(w, "%s %s", name, r.URL.RequestURI())
	})
}

func endpoint(t testing.TB, rawURL string) registry.Endpoint {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Endpoint{Host: u.Hostname(), Port: uint16(port)}
}

func server(t testing.TB, name, rawURL string) registry.Server {
	t.Helper()
	s := plain(name, 0)
	s.Versions[0].Endpoints[0] = endpoint(t, rawURL)
	return s
}

func push(t testing.TB, p *plane, s Settings, servers ...registry.Server) {
	t.Helper()
	r, err := Build(registry.NewView(servers), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(r); err != nil {
		t.Fatal(err)
	}
}

// settle waits until what was pushed last is good.
func settle(t testing.TB, p *plane, r *Resources) {
	t.Helper()
	c, err := contentOf(r)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the configuration to be accepted", func() bool { return p.Status().Good == c.version() })
}

func get(t testing.TB, rawURL string, header ...string) (int, string, http.Header) {
	t.Helper()
	return do(t, http.MethodPost, rawURL, "{}", header...)
}

func do(t testing.TB, method, rawURL, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, rawURL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}
