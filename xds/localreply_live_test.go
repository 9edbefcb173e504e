package xds

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/integration/testenv"
)

// Every answer that Envoy makes by itself must be a JSON-RPC error, with the
// request's own id byte for byte once ext_proc has read it.
func TestEnvoysOwnRepliesAreJSONRPC(t *testing.T) {
	t.Run("the id travels as metadata, beside what the access log needs", func(t *testing.T) { testOwnReplies(t, "stdout") })
	t.Run("the id travels as a header", func(t *testing.T) { testOwnReplies(t, "") })
}

func testOwnReplies(t *testing.T, accessLog string) {
	up := upstream(t, "a")
	goneURL := "http://" + testenv.FreeAddress(t)
	waiting := make(chan struct{}, 100)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			waiting <- struct{}{}
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	proc := startProc(t)
	s := DefaultSettings()
	s.Listeners[0].Port = 0
	s.ExtProc = proc.address
	s.MessageTimeout = time.Second
	s.AccessLog = accessLog
	slowServer := server(t, "slow", slow.URL)
	slowServer.Versions[0].IdleTimeout = 400 * time.Millisecond
	full := server(t, "full", slow.URL)
	full.Versions[0].IdleTimeout = time.Minute
	full.Versions[0].Limits.MaxRequests = 1
	unrotated := server(t, "none", up.URL)
	unrotated.Versions[0].Weight = 0
	second := unrotated.Versions[0]
	second.Name = "v2"
	unrotated.Versions = append(unrotated.Versions, second)
	base, _, _ := serveView(t, s, server(t, "a", up.URL), server(t, "gone", goneURL), slowServer, full, unrotated)

	taking, leave := context.WithCancel(context.Background())
	first, err := http.NewRequestWithContext(taking, http.MethodPost, base+"/mcp/full", strings.NewReader(`{"id":0}`))
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan struct{})
	go func() { // takes the only place
		defer close(busy)
		resp, err := http.DefaultClient.Do(first)
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	t.Cleanup(func() { leave(); <-busy })
	select {
	case <-waiting:
	case <-time.After(time.Minute):
		t.Fatal("the only place is not taken")
	}

	const id = `"abc\u00e9 % %ID% \"q\""`
	call := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call"}`
	tests := []struct {
		name   string
		does   behaviour
		method string
		path   string
		body   string
		status int
		code   int
		id     string
		reason string
	}{
		{name: "no such server", path: "/mcp/nobody", body: call, status: 404, code: -31404, id: id, reason: "unknown_server"},
		{name: "no such server, numeric id", path: "/mcp/nobody", body: `{"id":1.0e2}`, status: 404, code: -31404, id: `1.0e2`, reason: "unknown_server"},
		{name: "no such server, an id that no header can carry", path: "/mcp/nobody", body: `{"id":"é"}`, status: 404, code: -31404, id: `"é"`, reason: "unknown_server"},
		{name: "no such server, notification", path: "/mcp/nobody", body: `{}`, status: 404, code: -31404, reason: "unknown_server"},
		{name: "no such server, GET", method: "GET", path: "/mcp/nobody", status: 404, code: -31404, reason: "unknown_server"},
		{name: "wrong method", method: "PUT", path: "/mcp/a", body: call, status: 405, code: -32600, id: id, reason: string(guard.WrongTransport)},
		{name: "no version in rotation", path: "/mcp/none", body: call, status: 503, code: -31502, id: id, reason: "upstream_unavailable"},
		{name: "too large", path: "/mcp/a", body: strings.Repeat("x", 5<<20), status: 413, code: -32600, reason: string(guard.TooLarge)},
		{name: "server down", path: "/mcp/gone", body: call, status: 502, code: -31502, id: id, reason: "upstream_unavailable"},
		{name: "server too slow", path: "/mcp/slow", body: call, status: 504, code: -31504, id: id, reason: "upstream_timeout"},
		{name: "server at its limit", path: "/mcp/full", body: call, status: 503, code: -31502, id: id, reason: "upstream_unavailable"},
		{name: "ext_proc hangs on the headers", does: blockHeaders, path: "/mcp/a", body: call, status: 503, code: -31503, reason: "deadline_exceeded"},
		{name: "ext_proc hangs on the body", does: blockBody, path: "/mcp/a", body: call, status: 503, code: -31503, reason: "deadline_exceeded"},
		{name: "ext_proc fails on the body", does: failBody, path: "/mcp/a", body: call, status: 503, code: -31503, reason: "guard_error"},
		{name: "ext_proc fails on the response", does: failOnResponse, path: "/mcp/a", body: call, status: 503, code: -31503, id: id, reason: "guard_error"},
		{name: "ext_proc asks for a forbidden mutation", does: forbiddenHeader, path: "/mcp/a", body: call, status: 503, code: -31503, reason: "guard_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proc.does.Store(int32(tt.does))
			if tt.method == "" {
				tt.method = "POST"
			}
			code, body, h := do(t, tt.method, base+tt.path, tt.body)
			checkError(t, code, body, h, tt.status, tt.code, tt.id, tt.reason)
		})
	}

	t.Run("a refusal by ext_proc is left as it is", func(t *testing.T) {
		for _, does := range []behaviour{refuseAll, refuseBare} {
			proc.does.Store(int32(does))
			code, body, h := do(t, "POST", base+"/mcp/a", call)
			if code != 404 || body != `{"our":"refusal"}` || h.Get("content-type") != "application/json" {
				t.Errorf("got %d %q %v", code, body, h)
			}
		}
	})
	t.Run("a server's own error is left as it is", func(t *testing.T) {
		proc.does.Store(int32(passAll))
		code, body, _ := do(t, "POST", base+"/mcp/a", call)
		if code != 200 || body != "a /mcp" {
			t.Errorf("got %d %q", code, body)
		}
	})
	t.Run("ext_proc is gone", func(t *testing.T) {
		proc.stop()
		code, body, h := do(t, "POST", base+"/mcp/a", call)
		checkError(t, code, body, h, 503, -31503, "", "guard_error")
	})
}

func checkError(t *testing.T, status int, body string, h http.Header, wantStatus, wantCode int, wantID, wantReason string) {
	t.Helper()
	var e struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Data    struct {
				Reason string `json:"reason"`
			} `json:"data"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("status %d, not JSON: %v: %q %v", status, err, body, h)
	}
	got := fmt.Sprint(status, e.Error.Code, string(e.ID), e.Error.Data.Reason, h.Get("content-type"), e.Version)
	want := fmt.Sprint(wantStatus, wantCode, wantID, wantReason, "application/json", "2.0")
	if got != want {
		t.Errorf("got  %s\nwant %s\n%s", got, want, body)
	}
	if e.Error.Message == "" {
		t.Error("no message")
	}
}
