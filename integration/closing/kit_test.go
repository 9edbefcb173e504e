// Package closing ends exchanges in every way that there is, through a real Envoy,
// and reads the receipts of their ends.
package closing

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

const event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n"

// upstream answers each tool in the way that its name says.
type upstream struct {
	url    string
	silent chan struct{} // gets one for each call of the tool silent that came
	passed chan struct{} // the tool breaks waits for one, when its event has passed
}

func server(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{silent: make(chan struct{}, 10), passed: make(chan struct{}, 10)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m struct {
			ID     json.RawMessage
			Params struct{ Name string }
		}
		_ = json.Unmarshal(b, &m)
		say := func(text string) {
			_, _ = io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
		events := func() { w.Header().Set("Content-Type", "text/event-stream"); say(event) }
		answer := `{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":{"content":[]}}`
		switch strings.TrimRight(m.Params.Name, "0123456789") {
		case "plain":
			w.Header().Set("Content-Type", "application/json")
			say(answer)
		case "stream":
			events()
			say("data: " + answer + "\n\n")
		case "endless":
			events()
			<-r.Context().Done()
		case "breaks":
			events()
			select {
			case <-u.passed:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		case "half":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			say(answer[:10])
			time.Sleep(500 * time.Millisecond) // so that the gateway has its head, which nobody else can see
			panic(http.ErrAbortHandler)
		case "silent":
			u.silent <- struct{}{}
			<-r.Context().Done()
		default:
			if r.Method == http.MethodGet {
				events()
				return
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	u.url = s.URL
	return u
}

// receipt is what the tests look at.
type receipt struct {
	Exchange, Direction, Action, Closed, Reason, Server, Method, Name, Tenant, Subject, Kind string
	Stream                                                                                   bool
	Status                                                                                   int   `json:"upstream_status"`
	Lasted                                                                                   int64 `json:"lasted_us"`
	BytesOut                                                                                 int64 `json:"bytes_to_client"`
	BytesIn                                                                                  int64 `json:"bytes_to_server"`
	In                                                                                       int   `json:"messages_to_server"`
	Out                                                                                      int   `json:"messages_to_client"`
	Seq                                                                                      uint64
	Egress                                                                                   *struct {
		Workload, Host, Address string
		Port                    int
	}
}

// kept returns the receipts of a gateway so far.
func kept(t testing.TB, g *testenv.Gateway) (out []receipt) {
	t.Helper()
	return readable(t, []byte(g.Receipts(t)))
}

// readable are the receipts of whole lines.
func readable(t testing.TB, text []byte) (out []receipt) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var r receipt
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, r)
	}
	return out
}

// closed waits for the closing receipt of the call of a tool.
func closed(t testing.TB, g *testenv.Gateway, tool string) (end receipt, before []receipt) {
	t.Helper()
	testenv.Eventually(t, time.Minute, "the closing receipt of "+tool, func() bool {
		before = nil
		for _, r := range kept(t, g) {
			if r.Name != tool && r.Method != tool {
				continue
			}
			if r.Closed != "" {
				end = r
				return true
			}
			before = append(before, r)
		}
		return false
	})
	return end, before
}

// call asks for a tool, and reads the answer until it ends, leave is told, or enough
// says so, where that is not nil.
func call(t testing.TB, g *testenv.Gateway, tool, token string, leave <-chan struct{}, enough func(line string) bool) {
	t.Helper()
	ask(t, g, http.MethodPost, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool), token, leave, enough)
}

func ask(t testing.TB, g *testenv.Gateway, method, body, token string, leave <-chan struct{}, enough func(line string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() {
		select {
		case <-leave:
			cancel()
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, method, g.MCP+"/mcp/one", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Accept", "text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return // what the gateway wrote down is what counts
	}
	defer resp.Body.Close()
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		if enough != nil && enough(sc.Text()) {
			return
		}
	}
}
