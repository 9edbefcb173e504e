package testenv

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Plant is `sallyport serve` on ports that stay when it is started again, and an
// Envoy of the test's own.
type Plant struct {
	MCP     string // http://host:port
	Admin   string
	Config  string // path of its configuration
	Gateway *Process
}

// life bounds how long its parts run; a long soak needs it.
const life = time.Hour

// StartPlant starts both and waits until they serve. servers and more are those of
// Start, but more has to say where receipts go: relative to dir, where the
// configuration is.
func StartPlant(t testing.TB, dir, servers, more string) *Plant {
	t.Helper()
	mcp, admin := FreeAddress(t), FreeAddress(t)
	p := &Plant{MCP: "http://" + mcp, Admin: "http://" + admin, Config: filepath.Join(dir, "sallyport.yaml")}
	Write(t, p.Config, fmt.Sprintf(`listeners: [{address: %q}]
gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
extproc: {address: %q}
xds: {address: %q}
admin: {address: %q}
envoy: {admin_address: %q}
servers:
%s%s`, mcp, FreeAddress(t), FreeAddress(t), admin, FreeAddress(t), servers, more))
	p.Serve(t)
	boot, err := exec.Command(Binary(t), "envoy", "bootstrap", "-c", p.Config).Output()
	if err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	path := filepath.Join(dir, "envoy.yaml")
	Write(t, path, string(boot))
	LaunchFor(t, life, Envoy(t), "-c", path, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning")
	p.Ready(t)
	return p
}

// Serve starts the gateway, at first or again.
func (p *Plant) Serve(t testing.TB) {
	t.Helper()
	p.Gateway = LaunchFor(t, life, Binary(t), "serve", "-c", p.Config)
}

// Lives ends the test if the gateway has ended by itself.
func (p *Plant) Lives(t testing.TB) {
	t.Helper()
	select {
	case <-p.Gateway.Ended:
		t.Fatalf("the gateway has ended by itself: %s\n%s", p.Gateway.ProcessState, p.Gateway.Text())
	default:
	}
}

// Ready waits until the gateway serves.
func (p *Plant) Ready(t testing.TB) {
	t.Helper()
	Eventually(t, 2*time.Minute, "readiness", func() bool {
		p.Lives(t)
		resp, err := http.Get(p.Admin + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// SigningKey has `audit keygen` make a key that signs receipts, at name.key, with
// its public half at name.pub.
func SigningKey(t testing.TB, name string) {
	t.Helper()
	if out, err := exec.Command(Binary(t), "audit", "keygen", name).CombinedOutput(); err != nil {
		t.Fatalf("audit keygen: %v\n%s", err, out)
	}
}
