package mcp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	markclient "github.com/mark3labs/mcp-go/client"
	markmcp "github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/mcp/sse"
)

type httpHeaders http.Header

func (h httpHeaders) Get(name string) (string, int) {
	v := http.Header(h).Values(name)
	if len(v) == 0 {
		return "", 0
	}
	return v[0], len(v)
}

// inspector puts all that passes between a client and a server through this
// package, and writes down what it found.
type inspector struct {
	next http.Handler
	d    *mcp.Decoder

	mu     sync.Mutex
	seen   map[string]int // "revision kind method" of the client's messages
	faults []string
}

func (in *inspector) note(what string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.seen[what]++
}

// count returns how many messages there were whose note ends so.
func (in *inspector) count(end string) (n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for what, times := range in.seen {
		if strings.HasSuffix(what, end) {
			n += times
		}
	}
	return n
}

// until waits for so many of them.
func (in *inspector) until(ctx context.Context, end string, n int) {
	for in.count(end) < n && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

func (in *inspector) fault(where string, f error, raw []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.faults = append(in.faults, fmt.Sprintf("%s: %v: %s", where, f, raw))
}

func (in *inspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := httpHeaders(r.Header)
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var m mcp.Message
	switch r.Method {
	case http.MethodGet:
		m = mcp.TransportMessage(mcp.MethodListen)
	case http.MethodDelete:
		m = mcp.TransportMessage(mcp.MethodClose)
	default:
		if f := mcp.CheckMedia(h); f != nil {
			in.fault("media", f, nil)
		}
		var f *mcp.Fault
		if m, f = in.d.Decode(mcp.ToServer, body); f != nil {
			in.fault("decode", f, body)
		}
	}
	rev, f := mcp.Classify(h, &m, mcp.RevisionUnknown)
	if f != nil {
		in.fault("classify", f, body)
	} else if f := in.d.CheckMethod(&m, rev); f != nil {
		in.fault("method", f, body)
	}
	in.note(strings.TrimSpace(fmt.Sprintf("%v %v %s", rev, m.Kind, m.Method)))
	in.next.ServeHTTP(&replies{ResponseWriter: w, in: in, rev: rev, events: sse.NewSplitter(0)}, r)
}

// replies inspects what a server writes.
type replies struct {
	http.ResponseWriter
	in     *inspector
	rev    mcp.Revision
	events *sse.Splitter
}

func (w *replies) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

func (w *replies) Write(b []byte) (int, error) {
	switch kind := w.Header().Get("Content-Type"); {
	case strings.HasPrefix(kind, "application/json"):
		w.inspect(b)
	case strings.HasPrefix(kind, "text/event-stream"):
		if err := w.events.Push(b, func(e sse.Event) error {
			if e.IsMessage() && len(e.Data) > 0 {
				w.inspect(e.Data)
			}
			return nil
		}); err != nil {
			w.in.fault("events", err, b)
		}
	}
	return w.ResponseWriter.Write(b)
}

func (w *replies) inspect(b []byte) {
	m, f := w.in.d.Decode(mcp.ToClient, b)
	if f == nil {
		f = w.in.d.CheckMethod(&m, w.rev)
	}
	if f != nil {
		w.in.fault("reply", f, b)
		return
	}
	w.in.note("reply " + m.Kind.String())
}

func sdkServer(stateless bool) http.Handler {
	s := sdk.NewServer(&sdk.Implementation{Name: "s", Version: "1"}, nil)
	type in struct {
		Text string `json:"text"`
	}
	sdk.AddTool(s, &sdk.Tool{Name: "echo"}, func(ctx context.Context, r *sdk.CallToolRequest, a in) (*sdk.CallToolResult, any, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: 1})
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: a.Text}}}, nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "wait"}, func(ctx context.Context, _ *sdk.CallToolRequest, _ in) (*sdk.CallToolResult, any, error) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return &sdk.CallToolResult{}, nil, nil
	})
	s.AddPrompt(&sdk.Prompt{Name: "hello world"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{}, nil
	})
	s.AddResource(&sdk.Resource{Name: "r", URI: "test://r"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: "test://r", Text: "é"}}}, nil
	})
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: stateless})
}

// Nothing that the official Go SDK sends, in either era, may be refused, and it
// must be read as being of the revision that it speaks.
func TestGoSDKTraffic(t *testing.T) {
	for _, c := range []struct {
		name      string
		stateless bool
		version   string
		want      []string
	}{
		{"modern", true, "", []string{"2026-07-28 request server/discover", "2026-07-28 request tools/call",
			"2026-07-28 request prompts/get", "2026-07-28 request resources/read", "2026-07-28 notification notifications/cancelled", "reply notification"}},
		{"a modern client that falls back", false, "", []string{"2025-11-25 request initialize", "2025-11-25 transport transport/close",
			"2025-11-25 request tools/call", "2025-11-25 notification notifications/cancelled", "reply notification"}},
		{"legacy", false, "2025-06-18", []string{"2025-06-18 request initialize", "2025-06-18 notification notifications/initialized",
			"2025-06-18 transport transport/listen", "2025-06-18 request tools/call", "reply notification"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &inspector{next: sdkServer(c.stateless), d: mcp.NewDecoder(mcp.Config{}), seen: make(map[string]int)}
			server := httptest.NewServer(in)
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			client := sdk.NewClient(&sdk.Implementation{Name: "c", Version: "1"}, nil)
			session, err := client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: server.URL}, &sdk.ClientSessionOptions{ProtocolVersion: c.version})
			if err != nil {
				t.Fatal(err, in.faults)
			}
			call := &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "<é> \u2028 \x00"}}
			call.SetProgressToken("p1")
			if _, err := session.CallTool(ctx, call); err != nil {
				t.Error(err)
			}
			if _, err := session.ListTools(ctx, nil); err != nil {
				t.Error(err)
			}
			if _, err := session.GetPrompt(ctx, &sdk.GetPromptParams{Name: "hello world"}); err != nil {
				t.Error(err)
			}
			if _, err := session.ReadResource(ctx, &sdk.ReadResourceParams{URI: "test://r"}); err != nil {
				t.Error(err)
			}
			before := in.count("request tools/call")
			short, stop := context.WithCancel(ctx)
			go func() { in.until(ctx, "request tools/call", before+1); stop() }()
			_, err = session.CallTool(short, &sdk.CallToolParams{Name: "wait", Arguments: map[string]any{"text": ""}})
			stop()
			if err == nil {
				t.Error("a cancelled call succeeded")
			}
			for _, want := range c.want {
				if strings.HasSuffix(want, "notifications/cancelled") { // which is sent in the background
					in.until(ctx, "notifications/cancelled", 1)
				}
			}
			if _, err := session.CallTool(ctx, call); err != nil {
				t.Error("after a cancellation:", err)
			}
			_ = session.Close()
			in.check(t, c.want)
		})
	}
}

func TestMarkTraffic(t *testing.T) {
	in := &inspector{next: sdkServer(false), d: mcp.NewDecoder(mcp.Config{}), seen: make(map[string]int)}
	server := httptest.NewServer(in)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := markclient.NewStreamableHttpClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Initialize(ctx, markmcp.InitializeRequest{Params: markmcp.InitializeParams{ProtocolVersion: "2025-06-18"}}); err != nil {
		t.Fatal(err, in.faults)
	}
	call := markmcp.CallToolRequest{}
	call.Params.Name, call.Params.Arguments = "echo", map[string]any{"text": "x"}
	if _, err := client.CallTool(ctx, call); err != nil {
		t.Error(err)
	}
	_ = client.Close()
	in.check(t, []string{"2025-06-18 request initialize", "2025-06-18 request tools/call"})
}

func (in *inspector) check(t *testing.T, want []string) {
	t.Helper()
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, f := range in.faults {
		t.Error(f)
	}
	for _, w := range want {
		if in.seen[w] == 0 {
			t.Errorf("no %q was seen", w)
		}
	}
	t.Log(slices.Sorted(maps.Keys(in.seen)))
}
