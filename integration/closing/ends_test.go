package closing

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// first is true at the first event.
func first(line string) bool { return strings.HasPrefix(line, "data:") }

func TestHowEveryExchangeEndedIsOnRecord(t *testing.T) {
	who := testenv.StartIssuer(t)
	const public = "https://mcp.example"
	u := server(t)
	text := testenv.Config(t, "  - {name: one, url: "+u.url+"/}\n", "limits: {drain: 2s}\n"+
		"guards: {dlp: {}, identity: {public_url: \""+public+"\", issuers: [{url: \""+who.URL+"\", scopes: [mcp]}]}}\n")
	text = strings.Replace(text, "authentication: {method: none}", "authentication: {method: JWT}", 1)
	path := t.TempDir() + "/sallyport.yaml"
	testenv.Write(t, path, text)
	g := testenv.StartFile(t, path)
	token := who.Token(t, public+"/mcp/one", time.Hour, nil)

	for _, tt := range []struct {
		tool, token string
		leave       chan struct{} // tells the client to leave, where that is what ends it
		enough      func(string) bool
		want        receipt // what is not empty of it
		stream      bool
	}{
		{tool: "stream", want: receipt{Closed: "answered", Status: 200, In: 1, Out: 2}, stream: true},
		{tool: "endless", enough: first, want: receipt{Closed: "broken_off", Status: 200, In: 1, Out: 1}, stream: true},
		{tool: "breaks", enough: func(line string) bool {
			if first(line) {
				u.passed <- struct{}{}
			}
			return false
		}, want: receipt{Closed: "broken_off", Status: 200, In: 1, Out: 1}, stream: true},
		{tool: "half", want: receipt{Closed: "broken_off", Status: 200, In: 1}},
		{tool: "silent", leave: u.silent, want: receipt{Closed: "client_left", In: 1}},
	} {
		t.Run(tt.tool, func(t *testing.T) {
			call(t, g, tt.tool, token, tt.leave, tt.enough)
			end, before := closed(t, g, tt.tool)
			w := tt.want
			if end.Closed != w.Closed || end.Status != w.Status || end.In != w.In || end.Out != w.Out || end.Stream != tt.stream || end.Subject != "ana" || end.Server != "one" ||
				end.Method != "tools/call" || end.BytesIn == 0 || (end.BytesOut > 0) != (w.Out > 0) || end.Lasted <= 0 {
				t.Errorf("got %+v", end)
			}
			if len(before) == 0 || before[0].Action != "allow" || before[0].Exchange != end.Exchange {
				t.Errorf("before it: %+v", before)
			}
		})
	}
	t.Run("a token that ends", func(t *testing.T) {
		call(t, g, "endless2", who.Token(t, public+"/mcp/one", 2*time.Second, nil), nil, nil)
		if end, _ := closed(t, g, "endless2"); end.Closed != "token_expired" || end.Reason != "identity_expired" || end.Out != 1 || !end.Stream {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("a listener that the server ends", func(t *testing.T) {
		ask(t, g, http.MethodGet, "", token, nil, nil)
		if end, _ := closed(t, g, "transport/listen"); end.Closed != "server_closed" || end.Out != 1 || end.In != 0 || !end.Stream {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("a notification has no answer but a status", func(t *testing.T) {
		ask(t, g, http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, token, nil, nil)
		if end, _ := closed(t, g, "notifications/initialized"); end.Closed != "answered" || end.Status != 202 || end.In != 1 || end.BytesOut != 0 {
			t.Errorf("got %+v", end)
		}
	})
	t.Run("what has its answer on record has no other end", func(t *testing.T) {
		call(t, g, "plain", token, nil, nil)
		call(t, g, "refused", who.Forge(t, public+"/mcp/one", time.Hour), nil, nil)
		call(t, g, "stream2", token, nil, nil)
		closed(t, g, "stream2") // and so would the others be
		answers := 0
		for _, r := range kept(t, g) {
			if r.Closed != "" && (r.Name == "plain" || r.Subject == "") {
				t.Errorf("a second end: %+v", r)
			}
			if r.Name == "plain" && r.Direction == "to_client" {
				answers++
			}
		}
		if answers != 1 {
			t.Errorf("%d answers", answers)
		}
	})
	t.Run("a gateway that stops", func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			call(t, g, "endless3", token, nil, nil)
		}()
		testenv.Eventually(t, time.Minute, "the stream", func() bool {
			for _, r := range kept(t, g) {
				if r.Name == "endless3" && r.Stream {
					return true
				}
			}
			return false
		})
		if err := g.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-done
		if end, _ := closed(t, g, "endless3"); end.Closed != "gateway_stopped" || end.Reason != "gateway_stopping" || end.Out != 1 {
			t.Errorf("got %+v", end)
		}
	})
}
