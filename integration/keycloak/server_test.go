package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// server is a running Keycloak. All tests of this package share one: it takes
// half a minute to start. Each test has realms of its own in it.
type server struct {
	url  string
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

const (
	startLimit = 3 * time.Minute // on a busy machine with two cores
	life       = 15 * time.Minute
	admin      = "admin"
)

// shared is the server of this test process, nil before a test needs it.
var shared *server

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// start returns the server, which it starts the first time.
func start(t testing.TB) *server {
	t.Helper()
	testenv.Heavy(t)
	testenv.Envoy(t)
	if shared != nil {
		return shared
	}
	if running := os.Getenv("SALLYPORT_KEYCLOAK"); running != "" { // for whoever works on these tests
		shared = &server{url: running}
		return shared
	}
	found, _ := filepath.Glob(filepath.Join(testenv.Root(), ".tools/keycloak-*/.built"))
	java, err := exec.LookPath("java")
	if len(found) == 0 || err != nil {
		t.Fatal("missing: Keycloak: run `make keycloak`")
	}
	port := testenv.FreePort(t)
	home := filepath.Dir(found[len(found)-1])
	ctx, cancel := context.WithTimeout(context.Background(), life)
	// Not by its script, which would leave Java behind if the test were killed.
	cmd := exec.CommandContext(ctx, java, "-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true",
		"--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
		"--add-opens=java.base/java.security=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
		"-Dkc.home.dir="+home, "-cp", filepath.Join(home, "lib/quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--http-enabled=true", "--hostname-strict=false", "--http-host=127.0.0.1", fmt.Sprintf("--http-port=%d", port))
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME="+admin, "KC_BOOTSTRAP_ADMIN_PASSWORD="+admin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s := &server{url: fmt.Sprintf("http://127.0.0.1:%d", port), cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s, s
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	shared = s
	go func() {
		_ = cmd.Wait() // its log says how it ended
		cancel()
		close(s.done)
	}()
	began := time.Now()
	for !s.ready() {
		select {
		case <-s.done:
			t.Fatalf("Keycloak ended:\n%s", s.words())
		case <-time.After(200 * time.Millisecond):
		}
		if time.Since(began) > startLimit {
			t.Fatalf("Keycloak was not ready in %v:\n%s", startLimit, s.words())
		}
	}
	t.Logf("Keycloak was ready in %v", time.Since(began).Round(time.Second))
	return s
}

func (s *server) ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/realms/master/.well-known/openid-configuration", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// Write keeps the last of what it says.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log.Len() > 64<<10 {
		s.log.Reset()
	}
	return s.log.Write(p)
}

func (s *server) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// form posts a form and decodes the JSON of the answer.
func form(t testing.TB, to string, values url.Values, into any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(req, into)
}

func do(req *http.Request, into any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, text)
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// admin asks the admin API, which takes and gives JSON.
func (s *server) admin(t testing.TB, verb, path string, body, into any) {
	t.Helper()
	var token struct {
		Access string `json:"access_token"`
	}
	err := form(t, s.url+"/realms/master/protocol/openid-connect/token",
		url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {admin}, "password": {admin}}, &token)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, s.url+"/admin/realms"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Access)
	req.Header.Set("Content-Type", "application/json")
	if err := do(req, into); err != nil {
		t.Fatal(err)
	}
}
