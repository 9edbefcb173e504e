package content

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
	"github.com/sallyport/sallyport/integration/testenv"
)

// talkative says something at the beginning of each answer that is a stream, so
// that part of it has gone out before anything is withheld.
type talkative struct {
	http.ResponseWriter
	said bool
}

func (w *talkative) Write(b []byte) (int, error) {
	if !w.said && strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		w.said = true
		if _, err := w.ResponseWriter.Write([]byte("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"under way\"}}\n\n")); err != nil {
			return 0, err
		}
		w.Flush()
	}
	return w.ResponseWriter.Write(b)
}

func (w *talkative) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// leaking has a tool that reports its progress, and then gives a secret away.
func leaking(t testing.TB) string {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "leaking", Version: "1"}, nil)
	for name, text := range map[string]string{"fine": "all is well", "leak": "key ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J"} { // shaped like a token, and none
		sdk.AddTool(s, &sdk.Tool{Name: name, Description: "Reports, and answers."}, func(ctx context.Context, r *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
			if token := r.Params.GetProgressToken(); token != nil {
				if err := r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: 1, Message: "half"}); err != nil {
					return nil, nil, err
				}
			}
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}, nil, nil
		})
	}
	sessions := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil)
	modern := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = &talkative{ResponseWriter: w}
		if r.Header.Get("Mcp-Protocol-Version") == scenario.ModernRevision {
			modern.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h.URL
}

// What is withheld when part of the stream has gone out already reaches the user
// of every SDK as an error with words, and the connection lives on.
func TestEverySDKReadsWhatIsWithheldInMidStream(t *testing.T) {
	g := testenv.Start(t, "  - {name: leaking, url: "+leaking(t)+"}\n", "guards:\n  dlp: {to_client: {secret: block}}\n")
	call := func(name string) *scenario.Call { return &scenario.Call{Name: name, Arguments: map[string]any{}} }
	for _, c := range peers.Clients() {
		run := c.Start(t)
		for _, era := range c.Eras {
			plan := scenario.Plan{Era: era, ListTools: true, Call: call("fine"), Refused: call("leak"), Progress: call("fine")}
			plan.Call.Want = "all is well"
			steps := run(t, g.MCP+"/mcp/leaking", plan)
			refused := steps.Get("refused")
			if len(steps.Failed()) > 0 || refused.Error == nil || !strings.Contains(refused.Error.Message, "secret") || strings.Contains(steps.String(), "ghp_") {
				t.Errorf("%s, %s:\n%s", c.Name, era, steps)
			}
		}
	}
}
