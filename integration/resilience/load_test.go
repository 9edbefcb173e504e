package resilience

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// reply is what one call got.
type reply struct {
	id     string
	status int
	body   string
	err    error // of the connection
	fresh  bool  // the connection was made for this call
}

// from is the name of the server that answered, "" for an error.
func (r reply) from() string {
	var m struct {
		ID     string
		Result struct{ From string }
	}
	if json.Unmarshal([]byte(r.body), &m) != nil || m.ID != r.id || r.status != http.StatusOK {
		return ""
	}
	return m.Result.From
}

// refusal returns the reason of a JSON-RPC error, and whether it carries the
// call's own id. An error for somebody else is none.
func (r reply) refusal() (reason string, own bool) {
	var m struct {
		Version string `json:"jsonrpc"`
		ID      *string
		Error   *struct {
			Code int
			Data struct{ Reason string }
		}
	}
	if json.Unmarshal([]byte(r.body), &m) != nil || m.Version != "2.0" || m.Error == nil || m.Error.Code == 0 || m.ID != nil && *m.ID != r.id {
		return "", false
	}
	return m.Error.Data.Reason, m.ID != nil
}

func (r reply) String() string {
	if r.err != nil {
		return "connection: " + r.err.Error()
	}
	return fmt.Sprintf("%d %s", r.status, strings.ReplaceAll(r.body, r.id, "<id>"))
}

var callNumber atomic.Int64 // ids are unique in one test process

// call calls a tool once.
func call(c *http.Client, url, tool string) reply {
	r := reply{id: fmt.Sprintf("call-%d", callNumber.Add(1))}
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { r.fresh = !i.Reused }})
	got, err := testenv.PostBy(ctx, c, url, fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"tools/call","params":{"name":%q}}`, r.id, tool))
	if got.Response != nil {
		r.status = got.StatusCode
	}
	r.body, r.err = got.Text, err
	return r
}

// load calls a server from several clients until it is stopped. What is not fine
// is a lost request.
type load struct {
	stop func()

	mu   sync.Mutex
	sent int
	kind map[string]int // by what they are
	lost map[string]int
	ids  map[string]bool // of calls that were answered by the server
	each []int           // calls that are over, by client
}

// startLoad has fine name each reply, or return "" for a lost one.
func startLoad(t testing.TB, url string, clients int, fine func(reply) string) *load {
	t.Helper()
	l := &load{kind: map[string]int{}, lost: map[string]int{}, ids: map[string]bool{}, each: make([]int, clients)}
	done := make(chan struct{})
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for {
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
				}
				l.note(n, call(c, url, "echo"), fine)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { close(done); all.Wait() })
	t.Cleanup(l.stop)
	return l
}

func (l *load) note(client int, r reply, fine func(reply) string) {
	what := fine(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	l.each[client]++
	if r.from() != "" {
		l.ids[r.id] = true
	}
	if what == "" {
		l.lost[r.String()]++
		return
	}
	l.kind[what]++
}

// turn waits until whatever is under way is over: each client has a call behind it
// that it began later.
func (l *load) turn(t testing.TB) {
	t.Helper()
	over := func() []int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.Clone(l.each)
	}
	before := over()
	testenv.Eventually(t, time.Minute, "a turn of each client", func() bool {
		for n, calls := range over() {
			if calls < before[n]+2 {
				return false
			}
		}
		return true
	})
}

func (l *load) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kind[what]
}

// check stops the load and fails for every lost request.
func (l *load) check(t testing.TB, name string) {
	t.Helper()
	l.stop()
	if len(l.lost) > 0 {
		t.Errorf("%s: of %d requests were lost: %v", name, l.sent, l.lost)
	}
	t.Logf("%s: %d requests, %v", name, l.sent, l.kind)
}

// served accepts answers of the named servers only.
func served(names ...string) func(reply) string {
	return func(r reply) string {
		for _, n := range names {
			if r.from() == n {
				return n
			}
		}
		return ""
	}
}

// readable accepts answers and JSON-RPC errors with one of the reasons.
func readable(reasons ...string) func(reply) string {
	return func(r reply) string {
		if f := r.from(); f != "" {
			return f
		}
		reason, own := r.refusal()
		for _, want := range reasons {
			if reason == want && reason != "" {
				if own {
					return reason + " with id"
				}
				return reason
			}
		}
		return ""
	}
}

// refused reports a connection that nobody took, which is no lost request.
func refused(r reply) bool { return errors.Is(r.err, syscall.ECONNREFUSED) }

// dropped reports a new connection that ended before any answer: the kernel had
// taken it in the listener's stead, and resets it when that closes, perhaps while
// the client still connects, or still writes; or Envoy had taken it, and ends before
// it reads. Whether the gateway had read anything of it is for the receipts to say.
func dropped(r reply) bool {
	var op *net.OpError
	connecting := errors.As(r.err, &op) && op.Op == "dial"
	ended := errors.Is(r.err, syscall.ECONNRESET) || errors.Is(r.err, syscall.EPIPE) || errors.Is(r.err, io.EOF)
	return (r.fresh || connecting) && r.status == 0 && ended
}
