package identity

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// A client of the SDK resumes a stream that its server cut in the middle of a
// call, with session and event ids that are sealed for it.
func TestAnSDKResumesAStreamWithSealedIDs(t *testing.T) {
	p := startIssuer(t)
	s := sdk.NewServer(&sdk.Implementation{Name: "slow", Version: "1"}, nil)
	sdk.AddTool(s, &sdk.Tool{Name: "slow"}, func(ctx context.Context, req *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		if req.Extra.CloseSSEStream == nil {
			return nil, nil, fmt.Errorf("no stream to close")
		}
		req.Extra.CloseSSEStream(sdk.CloseSSEStreamArgs{RetryAfter: 20 * time.Millisecond})
		time.Sleep(100 * time.Millisecond)
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "after the cut"}}}, nil, nil
	})
	inner := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{EventStore: sdk.NewMemoryEventStore(nil)})
	var resumed, stolen atomic.Pointer[http.Header]
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-Id") != "" {
			c := r.Header.Clone()
			resumed.Store(&c)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	key := filepath.Join(t.TempDir(), "key")
	testenv.Write(t, key, strings.Repeat("sealed ", 6))
	config := strings.Replace(testenv.Config(t, "  - {name: crm, url: "+h.URL+", protocol_revisions: [\"2025-11-25\"]}\n", ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config += fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q, scopes: [mcp]}]\n  binding: {keys: [\"file:%s\"]}\n", public, p.URL, key)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	g := testenv.StartFile(t, path)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	own := &spy{token: p.Token(t, public+"/mcp/crm", 10*time.Minute, nil), resumed: &stolen}
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(ctx,
		&sdk.StreamableClientTransport{Endpoint: g.MCP + "/mcp/crm", HTTPClient: &http.Client{Transport: own}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "slow", Arguments: map[string]any{}})
	if err != nil || len(result.Content) != 1 || result.Content[0].(*sdk.TextContent).Text != "after the cut" {
		t.Fatalf("%+v %v", result, err)
	}
	at, client := resumed.Load(), stolen.Load()
	if at == nil || client == nil {
		t.Fatal("the client did not resume the stream")
	}
	for _, name := range []string{"Mcp-Session-Id", "Last-Event-Id"} {
		if sealed, raw := client.Get(name), at.Get(name); sealed == "" || raw == "" || sealed == raw || strings.Contains(sealed, raw) {
			t.Errorf("%s is %q for the client and %q for the server", name, sealed, raw)
		}
	}
	// Another caller of the same server, who has seen all of it, gets nothing.
	for name, without := range map[string]string{"session and event": "", "the event alone": "Mcp-Session-Id"} {
		thief := client.Clone()
		thief.Del(without)
		thief.Set("Authorization", "Bearer "+p.Token(t, public+"/mcp/crm", time.Minute, map[string]any{"sub": "eve"}))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.MCP+"/mcp/crm", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = thief
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if want := map[string]int{"": http.StatusNotFound, "Mcp-Session-Id": http.StatusBadRequest}[without]; resp.StatusCode != want {
			t.Errorf("a thief of %s: %d, want %d", name, resp.StatusCode, want)
		}
	}
}

// spy brings a token, and keeps the headers of requests that resume a stream.
type spy struct {
	token   string
	resumed *atomic.Pointer[http.Header]
}

// RoundTrip implements http.RoundTripper.
func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.token)
	if r.Header.Get("Last-Event-Id") != "" {
		c := r.Header.Clone()
		s.resumed.Store(&c)
	}
	return http.DefaultTransport.RoundTrip(r)
}
