// Package sinks has the real gateway deliver receipts to real systems that take
// long to install or to start.
package sinks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// gateway is a `sallyport serve` without an Envoy: commands to its admin
// interface leave receipts, which is all that is needed here.
type gateway struct {
	admin string
	n     int // receipts that were asked for
}

// start starts a gateway with a sink, as YAML without its name, beside one that
// commands are given to.
func start(t testing.TB, sink string) *gateway {
	t.Helper()
	dir, admin := t.TempDir(), testenv.FreePort(t)
	testenv.SigningKey(t, filepath.Join(dir, "sign"))
	path := filepath.Join(dir, "sallyport.yaml")
	testenv.Write(t, path, fmt.Sprintf(`listeners: [{address: "127.0.0.1:%d"}]
gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
extproc: {address: "127.0.0.1:0"}
xds: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:%d"}
envoy: {admin_address: "127.0.0.1:%d"}
receipts: {directory: receipts, sign_with: "file:%s"}
servers: [{name: a, url: "http://127.0.0.1:1/"}]
sinks:
  - {name: steered, file: {path: steered.jsonl}}
  - {name: real, batch: {wait: 20ms}, retry_at_most: 500ms, %s}
`, testenv.FreePort(t), admin, testenv.FreePort(t), filepath.Join(dir, "sign.key"), sink))
	testenv.Launch(t, testenv.Binary(t), "serve", "-c", path)
	g := &gateway{admin: fmt.Sprintf("http://127.0.0.1:%d", admin)}
	testenv.Eventually(t, time.Minute, "the gateway", func() bool { _, ok := g.state(); return ok })
	return g
}

// receipts has n receipts made.
func (g *gateway) receipts(t testing.TB, n int) {
	t.Helper()
	for range n {
		g.n++
		body := fmt.Appendf(nil, `{"sink":"steered","because":"receipt %d"}`, g.n)
		resp, err := http.Post(g.admin+"/v1/sinks/pause", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
}

type state struct {
	Name, State, Error string
	Lag, Delivered     uint64
	Dead               uint64 `json:"dead_letters"`
}

// state tells how the sink is.
func (g *gateway) state() (state, bool) {
	resp, err := http.Get(g.admin + "/v1/sinks")
	if err != nil {
		return state{}, false
	}
	defer resp.Body.Close()
	var r struct{ Sinks []state }
	if json.NewDecoder(resp.Body).Decode(&r) != nil {
		return state{}, false
	}
	for _, s := range r.Sinks {
		if s.Name == "real" {
			return s, true
		}
	}
	return state{}, false
}

func (g *gateway) delivered(t testing.TB) {
	t.Helper()
	var s state
	defer func() {
		if t.Failed() {
			t.Logf("%+v", s)
		}
	}()
	testenv.Eventually(t, time.Minute, "everything is delivered", func() bool {
		var ok bool
		s, ok = g.state()
		return ok && s.State == "running" && s.Lag == 0 && s.Delivered >= uint64(g.n)
	})
	if s.Dead > 0 {
		t.Errorf("%d dead letters", s.Dead)
	}
}

// jars is a folder of what `make` fetched.
func jars(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(testenv.Root(), ".tools", name+"-jars")
	if found, _ := filepath.Glob(dir + "/*.jar"); len(found) == 0 {
		testenv.Missing(t, name+" (make "+name+")")
	}
	return dir
}
