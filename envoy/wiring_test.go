// Package envoy holds wiring for operators who bring their own Envoy. The
// tests run each file in a real Envoy.
package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

func TestEnvoyAcceptsTheFilesAsTheyAre(t *testing.T) {
	bin := testenv.Envoy(t)
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(f, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, bin, "--mode", "validate", "-l", "warn", "-c", f).CombinedOutput()
			if err != nil || strings.Contains(string(out), "[warning]") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// start runs a file with some of its ports replaced, and returns the URL of the
// listener, if it has one.
func start(t *testing.T, file string, ports map[int]int, more ...string) (url string) {
	t.Helper()
	bin := testenv.Envoy(t)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := string(b)
	for from, to := range ports {
		old := fmt.Sprintf("port_value: %d}", from)
		if !strings.Contains(config, old) {
			t.Fatalf("%s does not use port %d", file, from)
		}
		config = strings.ReplaceAll(config, old, fmt.Sprintf("port_value: %d}", to))
	}
	for i := 0; i+1 < len(more); i += 2 {
		if !strings.Contains(config, more[i]) {
			t.Fatalf("%s does not contain %q", file, more[i])
		}
		config = strings.ReplaceAll(config, more[i], more[i+1])
	}
	dir := t.TempDir()
	path, adminFile := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(bin, "-c", path, "--admin-address-path", adminFile, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("envoy's log:\n%s", log.String())
		}
	})
	var admin string
	testenv.Eventually(t, time.Minute, "envoy's admin interface", func() bool {
		b, err := os.ReadFile(adminFile)
		admin = "http://" + string(b)
		return err == nil && len(b) > 0
	})
	testenv.Eventually(t, time.Minute, "the listener", func() bool { url = listener(admin); return url != "" })
	return url
}

func listener(admin string) string {
	ready, err := http.Get(admin + "/ready")
	if err != nil {
		return ""
	}
	_ = ready.Body.Close()
	if ready.StatusCode != http.StatusOK {
		return ""
	}
	resp, err := http.Get(admin + "/listeners?format=json")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var out struct {
		Statuses []struct {
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if json.NewDecoder(resp.Body).Decode(&out) != nil || len(out.Statuses) == 0 {
		return ""
	}
	a := out.Statuses[0].Address.Socket
	return "http://" + net.JoinHostPort(a.Address, strconv.Itoa(a.Port))
}

// upstream answers with what it got.
func upstream(t *testing.T) int {
	t.Helper()
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s auth=%q host=%q", r.URL.RequestURI(), b, r.Header.Get("Authorization"), r.Host)
	}))
	t.Cleanup(u.Close)
	return u.Listener.Addr().(*net.TCPAddr).Port
}

func post(t *testing.T, url, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
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

func isError(t *testing.T, code int, body string, h http.Header, wantCode int, wantBody string) {
	t.Helper()
	if code != wantCode || !strings.HasPrefix(body, wantBody) || h.Get("content-type") != "application/json" {
		t.Errorf("got %d %q %s, want %d %s", code, body, h.Get("content-type"), wantCode, wantBody)
	}
}
