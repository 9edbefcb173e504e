package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/bench/echo"
)

const patience = time.Minute

func dial(t testing.TB, url, revision string, call Call) (*Conn, error) {
	t.Helper()
	c, err := Dial(t.Context(), Config{URL: url, Revision: revision, Timeout: patience}, call)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func echoServer(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- new(echo.Server).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String() + "/"
}

func TestEachEraFormAndSizeIsEchoed(t *testing.T) {
	url := echoServer(t)
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		for _, size := range []int{200, 10 << 10, 100 << 10} {
			for _, events := range []bool{false, true} {
				t.Run(fmt.Sprint(revision, size, events), func(t *testing.T) {
					call := EchoCall("c1", size, size, events)
					if n := len(call.Params) - len(`{"name":"echo","arguments":}`); n != size {
						t.Errorf("the arguments take %d bytes", n)
					}
					c, err := dial(t, url, revision, call)
					if err != nil {
						t.Fatal(err)
					}
					for range 3 {
						if err := c.Call(); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func TestTheOfficialServerUnderstandsTheCalls(t *testing.T) {
	type in struct {
		Text string `json:"text"`
	}
	s := sdk.NewServer(&sdk.Implementation{Name: "s", Version: "1"}, nil)
	sdk.AddTool(s, &sdk.Tool{Name: "say"}, func(_ context.Context, _ *sdk.CallToolRequest, i in) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "heard " + i.Text}}}, nil, nil
	})
	h := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true}))
	defer h.Close()
	call, err := ToolCall("say", []byte(`{"text": "it"}`))
	if err != nil {
		t.Fatal(err)
	}
	call.Expect = []byte("heard it")
	for _, revision := range []string{"2025-06-18", "2025-11-25", "2026-07-28"} {
		c, err := dial(t, h.URL, revision, call)
		if err != nil {
			t.Fatal(revision, err)
		}
		for range 2 {
			if err := c.Call(); err != nil {
				t.Error(revision, err)
			}
		}
	}
}

func TestFailuresAreNamed(t *testing.T) {
	reply := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const js = "application/json"
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		kind string
		lost bool
	}{
		"a refusal":                    {reply(200, js, `{"jsonrpc":"2.0","id":1,"error":{"code":-31403,"message":"no"}}`), "rpc_-31403", false},
		"a refusal with a status":      {reply(429, js, `{"jsonrpc":"2.0","id":1,"error":{"code":-31429,"message":"no"}}`), "http_429_rpc_-31429", false},
		"a plain error":                {reply(503, "text/plain", `overloaded`), "http_503", false},
		"another id":                   {reply(200, js, `{"jsonrpc":"2.0","id":2,"result":{}}`), "wrong_id", false},
		"an id of another type":        {reply(200, js, `{"jsonrpc":"2.0","id":"1","result":{}}`), "wrong_id", false},
		"another content":              {reply(200, js, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`), "wrong_content", false},
		"neither result nor error":     {reply(200, js, `{"jsonrpc":"2.0","id":1}`), "bad_reply", false},
		"half a message":               {reply(200, js, `{"jsonrpc":"2.0","id":1,"result":{`), "bad_reply", false},
		"an empty body":                {reply(200, js, ``), "bad_reply", false},
		"a stream without response":    {reply(200, "text/event-stream", ": hello\n\n"), "bad_reply", false},
		"a stream whose event is open": {reply(200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"wanted\"}}\n"), "bad_reply", false},
		"a connection that ends":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "closed", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.h)
			defer s.Close()
			c, err := dial(t, s.URL, Modern, Call{Method: "tools/call", Name: "x", Expect: []byte("wanted")})
			if err != nil {
				t.Fatal(err)
			}
			var e *Error
			if err := c.Call(); !errors.As(err, &e) || e.Kind != tc.kind || e.Lost != tc.lost {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestEventsOfAReplyAreReadWithEveryLineEnd(t *testing.T) {
	for name, body := range map[string]string{
		"LF":               "event: message\ndata: {\"id\":1,\"result\":{}}\n\n",
		"CRLF":             "data:{\"id\":1,\r\ndata:\"result\":{}}\r\n\r\n",
		"after progress":   ": hi\n\ndata: {\"method\":\"notifications/progress\"}\n\ndata: {\"id\":1,\"result\":{}}\n\n",
		"an id and a name": "id: 4\nevent: message\nretry: 5\ndata: {\"id\":1,\"result\":{}}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				for _, b := range []byte(body) { // the worst chunking there is
					_, _ = w.Write([]byte{b})
					w.(http.Flusher).Flush()
				}
			}))
			defer s.Close()
			c, err := dial(t, s.URL, Modern, Call{Method: "ping"})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Call(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASessionIsKeptAndLeft(t *testing.T) {
	var ended atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		known := r.Header.Get("Mcp-Session-Id") == "s1" && r.Header.Get("Mcp-Protocol-Version") == "2025-06-18"
		switch {
		case r.Method == http.MethodDelete && known:
			ended.Store(true)
		case strings.Contains(text, `"initialize"`):
			w.Header().Set("Mcp-Session-Id", "s1")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`)
		case !known:
			w.WriteHeader(http.StatusBadRequest)
		case strings.Contains(text, "initialized"):
			w.WriteHeader(http.StatusAccepted)
		default:
			w.Header().Set("Connection", "close") // a new connection is no new session
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+strings.TrimPrefix(strings.Split(text, `,"method"`)[0], `{"jsonrpc":"2.0","id":`)+`,"result":{}}`)
		}
	}))
	defer s.Close()
	c, err := Dial(t.Context(), Config{URL: s.URL, Revision: "2025-11-25", Timeout: patience}, Call{Method: "ping"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Call(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.connect(); err != nil { // the last reply closed the connection
		t.Fatal(err)
	}
	c.Close()
	if !ended.Load() {
		t.Error("the session was not left")
	}
}

func TestACallThatHangsTimesOut(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c, err := Dial(t.Context(), Config{URL: s.URL, Revision: Modern, Timeout: 200 * time.Millisecond}, Call{Method: "ping"})
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := c.Call(); !errors.As(err, &e) || e.Kind != "timeout" || !e.Lost {
		t.Errorf("%v", err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel(); <-release }))
	defer s.Close()
	defer close(release)
	c, err := Dial(ctx, Config{URL: s.URL, Revision: Modern, Timeout: time.Hour}, Call{Method: "ping"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(); err == nil {
		t.Error("it was answered")
	}
}

func TestEventsOfAStreamComeWithTheirTime(t *testing.T) {
	call, err := ToolCall("stream", []byte(`{"events":5,"interval_ms":2}`))
	if err != nil {
		t.Fatal(err)
	}
	call.Progress = true
	for _, revision := range []string{"2025-11-25", Modern} {
		c, err := dial(t, echoServer(t), revision, call)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the connection serves the next call
			n := 0
			if err := c.Stream(func(_ []byte, first int64) error {
				if n++; first <= 0 || first > echo.Stamp() {
					t.Errorf("event %d came at %d", n, first)
				}
				return nil
			}); err != nil || n != 5 {
				t.Fatalf("%d events, %v", n, err)
			}
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for _, size := range []int{200, 10 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c, err := dial(b, echoServer(b), "2025-11-25", EchoCall("c1", size, size, false))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
