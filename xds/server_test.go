package xds

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var quick = Options{Debounce: 10 * time.Millisecond, StepTimeout: 5 * time.Second, Grace: 300 * time.Millisecond}

func TestTheFirstPushMakesEnvoyServeAndTheServerReady(t *testing.T) {
	up := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	e := adsEnvoy(t, p, "envoy-1")
	if p.Ready() {
		t.Fatal("ready before anything was pushed")
	}
	push(t, p, testSettings(), server(t, "a", up.URL))
	base := "http://" + e.listener(t, "mcp")
	eventually(t, "readiness", p.Ready)
	code, body, h := get(t, base+"/mcp/a")
	if code != http.StatusOK || body != "a /mcp" {
		t.Errorf("got %d %q", code, body)
	}
	if h.Get("server") != "" || h.Get("x-powered-by") != "" {
		t.Errorf("the upstream's software shows: %v", h)
	}
	s := p.Status()
	if len(s.Nodes) != 1 || s.Nodes[0].ID != "envoy-1" || !s.Nodes[0].UpToDate || !strings.HasPrefix(s.Nodes[0].Build, "envoy 1.") {
		t.Errorf("status %+v", s)
	}
}
