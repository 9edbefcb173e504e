package content

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// A server that announces other tools, on the stream of one client, is not called
// by anybody before its new definitions were looked at.
func TestAnAnnouncedChangeIsLookedAtBeforeTheNextCall(t *testing.T) {
	s := sdk.NewServer(&sdk.Implementation{Name: "test", Version: "1"}, &sdk.ServerOptions{Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{ListChanged: true}}})
	h := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil))
	t.Cleanup(h.Close)
	add(s, "send", "Sends a letter.", echo)
	g := testenv.Start(t, "  - {name: post, url: "+h.URL+"}\n", "guards:\n  catalog: {announced: refuse}\n")
	heard := make(chan struct{}, 8)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, &sdk.ClientOptions{ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { heard <- struct{}{} }}).
		Connect(ctx, &sdk.StreamableClientTransport{Endpoint: g.MCP + "/mcp/post"}, &sdk.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	names(t, c)
	if got, err := call(t, c, "send", "x"); err != nil || got != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := call(t, c, "SEND", "x"); err == nil || !strings.Contains(err.Error(), "No such tool") {
		t.Errorf("the tool's name in another case: %v", err)
	}
	add(s, "file", "Files a letter.", echo)
	select {
	case <-heard:
	case <-ctx.Done():
		t.Fatal("the announcement did not arrive")
	}
	if _, err := call(t, c, "send", "x"); err == nil || !strings.Contains(err.Error(), "List them") {
		t.Errorf("called before anybody listed: %v", err)
	}
	g.LogWith(t, "definitions_announced")
	names(t, c)
	if got, err := call(t, c, "send", "x"); err != nil || got != "x" {
		t.Errorf("after the list: %q, %v", got, err)
	}
}
