// Package gateway tests the whole gateway with real clients, servers and Envoy.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

type echoIn struct {
	Text string `json:"text"`
}
type echoOut struct {
	Text string `json:"text"`
}

// sdkServer runs a server of the official Go SDK with an echo tool, a slow tool
// that reports progress, and one that asks the user.
func sdkServer(t testing.TB, o *sdk.StreamableHTTPOptions) string {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "echo", Version: "1"}, nil)
	sdk.AddTool(s, &sdk.Tool{Name: "echo", Description: "Says it again."}, func(_ context.Context, _ *sdk.CallToolRequest, in echoIn) (*sdk.CallToolResult, echoOut, error) {
		return nil, echoOut(in), nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "slow", Description: "Takes its time."}, func(ctx context.Context, r *sdk.CallToolRequest, in echoIn) (*sdk.CallToolResult, echoOut, error) {
		for i := range 3 {
			if token := r.Params.GetProgressToken(); token != nil {
				if err := r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: float64(i + 1), Total: 3}); err != nil {
					return nil, echoOut{}, err
				}
			}
			select {
			case <-ctx.Done():
				return nil, echoOut{}, ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
		return nil, echoOut(in), nil
	})
	h := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, o))
	t.Cleanup(h.Close)
	return h.URL
}

func connect(t testing.TB, url string, o *sdk.ClientOptions) *sdk.ClientSession {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, o)
	s, err := c.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: url}, nil)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAnUnmodifiedClientCallsAnUnmodifiedServer(t *testing.T) {
	for name, o := range map[string]*sdk.StreamableHTTPOptions{
		"stateful, event streams": {},
		"stateful, JSON":          {JSONResponse: true},
		"stateless":               {Stateless: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := testenv.Start(t, "  - {name: echo, url: "+sdkServer(t, o)+"}\n", "")
			progress := make(chan float64, 8)
			s := connect(t, g.MCP+"/mcp/echo", &sdk.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) { progress <- r.Params.Progress },
			})
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			tools, err := s.ListTools(ctx, nil)
			if err != nil || len(tools.Tools) != 2 {
				t.Fatalf("list: %v, %v", tools, err)
			}
			call := func(tool string) (*sdk.CallToolResult, error) {
				p := &sdk.CallToolParams{Name: tool, Arguments: echoIn{"hello"}}
				p.SetProgressToken("p1")
				return s.CallTool(ctx, p)
			}
			if r, err := call("echo"); err != nil || r.IsError {
				t.Fatalf("echo: %v, %v", r, err)
			}
			if r, err := call("slow"); err != nil || r.IsError {
				t.Fatalf("slow: %v, %v", r, err)
			}
			if !o.JSONResponse && !o.Stateless {
				select {
				case <-progress:
				case <-ctx.Done():
					t.Error("no progress came through")
				}
			}
			// A refusal is readable and leaves the connection usable.
			_, err = call("no such tool")
			var rpc *jsonrpc.Error
			if !errors.As(err, &rpc) || rpc.Code != jsonrpc.CodeInvalidParams {
				t.Errorf("refusal: got %v, want a JSON-RPC error with code -32602", err)
			}
			if _, err := call("echo"); err != nil {
				t.Errorf("after the refusal: %v", err)
			}
			if m := g.Get(t, "/metrics"); !strings.Contains(m, `mcp_gateway_decisions_total`) {
				t.Error("no decisions in the metrics")
			}
		})
	}
}

// post sends body as an MCP client would and returns the reply.
func post(t testing.TB, url, body string, header ...string) (int, string, string) {
	t.Helper()
	r := testenv.Post(t, url, body, header...)
	return r.StatusCode, r.Header.Get("Content-Type"), r.Text
}

// upstream is a server that answers with exactly what a test says and notes
// what reached it.
type upstream struct {
	url  string
	seen chan *http.Request
	body chan string
}

func newUpstream(t testing.TB, reply http.HandlerFunc) *upstream {
	u := &upstream{seen: make(chan *http.Request, 100), body: make(chan string, 100)}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		u.seen <- r
		u.body <- string(b)
		reply(w, r)
	}))
	t.Cleanup(h.Close)
	u.url = h.URL
	return u
}

func TestWhatAttackersSendIsRefusedAndNeverReachesTheServer(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	g := testenv.Start(t, "  - {name: raw, url: "+u.url+"}\n", "limits: {body: 64KiB}\n")
	url := g.MCP + "/mcp/raw"
	const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"safe"}}`
	big := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"safe","arguments":{"a":"` + strings.Repeat("a", 70_000) + `"}}}`
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		want       string
	}{
		{"the tool is named twice, to hide the second name", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"safe","name":"danger"}}`, nil, 400, `"id":7`},
		{"the tool is named again in another case, for parsers that fold", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"safe","Name":"danger"}}`, nil, 400, `"id":7`},
		{"a batch hides a second call", `[` + call + `,` + call + `]`, nil, 400, `-32600`},
		{"a second value follows the first", call + call, nil, 400, `"error"`},
		{"a byte order mark", "\ufeff" + call, nil, 400, `-32700`},
		{"the body is compressed", call, []string{"Content-Encoding", "gzip"}, 415, `"error"`},
		{"another charset", call, []string{"Content-Type", "application/json; charset=utf-16"}, 415, `"error"`},
		{"a method that the protocol does not have", `{"jsonrpc":"2.0","id":"x","method":"tools/destroy"}`, nil, 200, `"id":"x"`},
		{"a page of another origin", call, []string{"Origin", "https://evil.example"}, 403, `origin_not_allowed`},
		{"a rebound host name", call, []string{"Host", "evil.example:80"}, 403, `host_not_allowed`},
		{"a modern header over a legacy body", call, []string{"Mcp-Protocol-Version", "2026-07-28"}, 400, `"id":7`},
		{"a body over the limit", big, nil, 413, `"error"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, media, body := post(t, url, c.body, c.header...)
			if status != c.status || media != "application/json" || !strings.Contains(body, c.want) || !strings.Contains(body, `"jsonrpc":"2.0"`) {
				t.Errorf("got %d %s %s, want %d with %s", status, media, body, c.status, c.want)
			}
		})
	}
	if n := len(u.seen); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
	status, _, body := post(t, g.MCP+"/mcp/nobody", call)
	if status != 404 || !strings.Contains(body, "-31404") {
		t.Errorf("unknown server: %d %s", status, body)
	}
}

func TestCredentialsAndForgedHeadersStopAtTheGateway(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	g := testenv.Start(t, "  - {name: raw, url: "+u.url+"/deep/path}\n", "")
	const call = `{ "jsonrpc":"2.0","id":1, "method":"tools/call","params":{"name":"safe","arguments":{"n":1e400}}}`
	status, _, body := post(t, g.MCP+"/mcp/raw", call, "Authorization", "Bearer secret", "Cookie", "a=b", "X-Sallyport-Version", "v9",
		"X-Forwarded-User", "root", "Accept-Encoding", "gzip", "Mcp-Session-Id", "s1")
	if status != 200 || body != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Fatalf("got %d %s", status, body)
	}
	r := <-u.seen
	for _, name := range []string{"Authorization", "Cookie", "X-Sallyport-Version", "X-Forwarded-User", "Accept-Encoding"} {
		if v := r.Header.Get(name); v != "" {
			t.Errorf("%s reached the server: %q", name, v)
		}
	}
	if got := <-u.body; got != call {
		t.Errorf("the server got other bytes than were judged: %s", got)
	}
	if r.URL.Path != "/deep/path" || r.Header.Get("Mcp-Session-Id") != "s1" {
		t.Errorf("path %s, session %q", r.URL.Path, r.Header.Get("Mcp-Session-Id"))
	}
}

func TestRepliesThatCannotBeJudgedAreWithheld(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"safe"}}`
	const good = `{"jsonrpc":"2.0","id":5,"result":{"content":[]}}`
	for _, c := range []struct {
		name, media, reply string
		status             int
		want, not          string
		code               int
	}{
		{"JSON with a doubled key", "application/json", `{"jsonrpc":"2.0","id":5,"result":{"secret":1,"secret":2}}`, 200, "upstream_bad_reply", "secret", 502},
		{"an answer to another request", "application/json", `{"jsonrpc":"2.0","id":6,"result":{"secret":1}}`, 200, "upstream_bad_reply", "secret", 502},
		{"a page instead of JSON", "text/html", "<h1>secret</h1>", 200, "upstream_bad_reply", "secret", 502},
		{"an error page", "text/plain", "secret", 500, `"id":5`, "secret", 500},
		{"a JSON-RPC error without id", "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}`, 404, `"id":5`, "null", 404},
		{"a second answer in the stream", "text/event-stream", "data: " + good + "\n\ndata: " + strings.Replace(good, "[]", `["secret"]`, 1) + "\n\n", 200, `"content":[]`, "secret", 200},
		{"an event of another type", "text/event-stream", "event: other\ndata: {\"secret\":1}\n\ndata: " + good + "\n\n", 200, `"content":[]`, "secret", 200},
		{"a broken event", "text/event-stream", "data: {\"secret\":1\n\n", 200, "upstream_bad_reply", "secret", 200},
		{"an event that never ends", "text/event-stream", "data: {\"secret\":1}", 200, "upstream_bad_reply", "secret", 200},
		{"line ends that only some clients read", "text/event-stream", "data: " + good + "\r\r", 200, `"content":[]`, "\r", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.reply)
			})
			g := testenv.Start(t, "  - {name: raw, url: "+u.url+"}\n", "")
			status, _, body := post(t, g.MCP+"/mcp/raw", call)
			if status != c.code || !strings.Contains(body, c.want) || strings.Contains(body, c.not) {
				t.Errorf("got %d %q, want %d with %q and without %q", status, body, c.code, c.want, c.not)
			}
		})
	}
}
