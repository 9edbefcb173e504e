package echo

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// start serves on a free port until the test ends.
func start(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- new(Server).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String() + "/mcp"
}

func TestTheOfficialClientListsAndCallsTheTools(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	progress := make(chan string, 10)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { progress <- r.Params.Message },
	})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: start(t)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil || len(list.Tools) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	for name, tc := range map[string]struct {
		args map[string]any
		want string
	}{
		"the text as it is":  {map[string]any{"text": "abc"}, "abc"},
		"repeated":           {map[string]any{"text": "abc", "answer_bytes": 7}, "abcabca"},
		"cut":                {map[string]any{"text": "abc", "answer_bytes": 2}, "ab"},
		"with escapes":       {map[string]any{"text": "a\n\"b", "answer_bytes": 2}, "a\n\"b"},
		"as an event stream": {map[string]any{"text": "abc", "answer_bytes": 100_000, "sse": true}, strings.Repeat("abc", 33_333) + "a"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "echo", Arguments: tc.args})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Content[0].(*mcp.TextContent).Text; got != tc.want {
				t.Fatalf("got %d bytes", len(got))
			}
		})
	}
	p := &mcp.CallToolParams{Name: "stream", Arguments: map[string]any{"events": 3, "interval_ms": 1}}
	p.SetProgressToken("p")
	if r, err := session.CallTool(ctx, p); err != nil || r.Content[0].(*mcp.TextContent).Text != "3 events" {
		t.Fatalf("%+v, %v", r, err)
	}
	for range 3 {
		select {
		case <-progress:
		case <-ctx.Done():
			t.Fatal("no progress")
		}
	}
	if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "nonesuch"}); err == nil {
		t.Fatal("an unknown tool was called")
	}
}
