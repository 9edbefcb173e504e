package resilience

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// upstream is an MCP server that answers every request with its own name. The
// tool slow takes a second, and the tool stream sends events until it is ended.
type upstream struct {
	url  string
	seen atomic.Int64
	slow atomic.Int64 // calls of the tool slow
}

func startUpstream(t testing.TB, name string) *upstream {
	u := &upstream{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.seen.Add(1)
		b, err := io.ReadAll(r.Body)
		var call struct {
			ID     json.RawMessage
			Params struct{ Name string }
		}
		if err != nil || json.Unmarshal(b, &call) != nil || len(call.ID) == 0 {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		switch call.Params.Name {
		case "slow":
			u.slow.Add(1)
			time.Sleep(time.Second)
		case "stream":
			events(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"from":%q}}`, call.ID, name)
	}))
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	u.url = h.URL
	return u
}

// events sends progress until the client has gone.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; r.Context().Err() == nil && i < 2000; i++ {
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":%d}}\n\n", i)
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}
