// Package hosttest connects the official client to an example server in each
// way that clients come: within one process, and over HTTP with and without
// sessions.
package hosttest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

// Each runs test once for each way to connect to a fresh server.
func Each(t *testing.T, build func() (*mcp.Server, error), o *mcp.ClientOptions, test func(t *testing.T, s *mcp.ClientSession)) {
	t.Helper()
	for _, way := range []struct{ name, version string }{
		{"in process", ""},
		{"over HTTP, 2025-06-18, with a session", "2025-06-18"},
		{"over HTTP, 2025-11-25, with a session", "2025-11-25"},
		{"over HTTP, 2026-07-28, stateless", "2026-07-28"},
	} {
		t.Run(way.name, func(t *testing.T) {
			server, err := build()
			if err != nil {
				t.Fatal(err)
			}
			session := connect(t, server, way.version, o)
			if way.version != "" && session.InitializeResult().ProtocolVersion != way.version {
				t.Fatalf("speaks %s, want %s", session.InitializeResult().ProtocolVersion, way.version)
			}
			test(t, session)
		})
	}
}

func connect(t *testing.T, server *mcp.Server, version string, o *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	var transport mcp.Transport
	if version == "" {
		near, far := mcp.NewInMemoryTransports()
		if _, err := server.Connect(Context(t), far, nil); err != nil {
			t.Fatal(err)
		}
		transport = near
	} else {
		web := httptest.NewServer(host.Handler(server, slog.New(slog.DiscardHandler)))
		t.Cleanup(web.Close)
		transport = &mcp.StreamableClientTransport{Endpoint: web.URL}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, o)
	session, err := client.Connect(Context(t), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() }) // before the web server closes, which waits for streams
	return session
}

// Context ends 20 seconds from now, or with the test.
func Context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Call calls a tool and decodes its structured output. It returns the text of a
// tool error, which is "" when there was none.
func Call[Out any](t *testing.T, s *mcp.ClientSession, tool string, args any) (Out, string) {
	t.Helper()
	var out Out
	r, err := s.CallTool(Context(t), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	if r.IsError {
		return out, r.Content[0].(*mcp.TextContent).Text
	}
	b, err := json.Marshal(r.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: output %s: %v", tool, b, err)
	}
	return out, ""
}

// Read returns the text of a resource, or the error.
func Read(t *testing.T, s *mcp.ClientSession, uri string) (string, error) {
	t.Helper()
	r, err := s.ReadResource(Context(t), &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		return "", err
	}
	return r.Contents[0].Text, nil
}

// Args is what a tool gets to hear.
type Args map[string]any
