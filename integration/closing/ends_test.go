package closing

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

func TestExperiment(t *testing.T) {
	g := testenv.Start(t, "  - {name: one, url: "+server(t)+"/}\n", "guards: {dlp: {}}\n")
	first := func(line string) bool { return strings.HasPrefix(line, "data:") }
	for _, tool := range []string{"plain", "stream", "forbidden", "breaks", "half"} {
		s, text := call(t, g, tool, "", nil)
		t.Log(tool, s, text)
	}
	call(t, g, "endless", "", first)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	req, _ := http.NewRequestWithContext(ctx, "POST", g.MCP+"/mcp/one", strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"silent"}}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	_, err := http.DefaultClient.Do(req)
	t.Log(err)
	cancel()
	s, text := ask(t, g, "GET", "", "", nil)
	t.Log("GET", s, text)
	s, text = ask(t, g, "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "", nil)
	t.Log("notif", s, text)
	time.Sleep(time.Second)
	for _, r := range kept(t, g) {
		t.Logf("%+v", r)
	}
}
