package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// Caller returns what calls tools by an SDK's client of one revision: with a
// session up to 2025-11-25, and without one from 2026-07-28 on. The client gives
// up on a call after a minute.
func Caller(t testing.TB, url, revision string, headers map[string]string) func(tool string, arguments map[string]any) error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	wire, err := transport.NewStreamableHTTP(url, transport.WithHTTPHeaders(headers))
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewClient(wire, client.WithProtocolVersion(revision))
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	var begin mcp.InitializeRequest
	begin.Params.ProtocolVersion = revision
	begin.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	starting, started := context.WithTimeout(ctx, time.Minute)
	defer started()
	if r, err := c.Initialize(starting, begin); err != nil || r.ProtocolVersion != revision {
		t.Fatalf("initialize: %v, %v", r, err)
	}
	return func(tool string, arguments map[string]any) error {
		var call mcp.CallToolRequest
		call.Params.Name, call.Params.Arguments = tool, arguments
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := c.CallTool(ctx, call)
		return err
	}
}
