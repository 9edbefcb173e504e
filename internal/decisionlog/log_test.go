package decisionlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/mcp"
)

// event is OPA's EventV1, as far as it is used here.
type event struct {
	Labels     map[string]string `json:"labels"`
	DecisionID string            `json:"decision_id"`
	Bundles    map[string]struct {
		Revision string `json:"revision"`
	} `json:"bundles"`
	Path  string          `json:"path"`
	Input json.RawMessage `json:"input"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
	Result *struct {
		Allow  bool   `json:"allow"`
		Reason string `json:"reason"`
	} `json:"result"`
	Erased      []string         `json:"erased"`
	RequestedBy string           `json:"requested_by"`
	Timestamp   time.Time        `json:"timestamp"`
	Metrics     map[string]int64 `json:"metrics"`
}

// receiver is a service that takes decision logs.
type receiver struct {
	mu     sync.Mutex
	status func(events int) int
	posts  int
	events []event
	bodies strings.Builder
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts++
	z, err := gzip.NewReader(req.Body)
	if err != nil || req.Method != http.MethodPost || req.URL.Path != "/opa/logs" || req.Header.Get("Content-Encoding") != "gzip" || req.Header.Get("Content-Type") != "application/json" || req.Header.Get("Authorization") != "Bearer t0ken" {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	body, err := io.ReadAll(z)
	var got []event
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := errors.Join(err, d.Decode(&got)); err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	if r.status != nil {
		if s := r.status(len(got)); s != 0 {
			w.WriteHeader(s)
			return
		}
	}
	r.events = append(r.events, got...)
	r.bodies.Write(body)
	w.WriteHeader(http.StatusNoContent)
}

func start(t *testing.T, r *receiver, change func(*Options)) *Log {
	t.Helper()
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	c, err := remote.New(remote.Options{URL: s.URL + "/opa", MaxReply: 1 << 10, Token: func() (string, error) { return "t0ken", nil }})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Client: c, Labels: map[string]string{"id": "r1"}, Every: 20 * time.Millisecond, Buffer: 1 << 20, Timeout: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run ships until the log is empty or the time is over.
func run(t *testing.T, l *Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	for end := time.Now().Add(time.Minute); l.Status().Waiting > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-done
}

func observe(t *testing.T, l *Log, subject string, e guard.Entry) {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"iban":"CH93 0076"}}}`))
	if f != nil {
		t.Fatal(f)
	}
	x := &guard.Exchange{ID: "e1", Principal: guard.Principal{Subject: subject, Roles: []string{"clerk"}}, Server: guard.Server{Name: "bank"}, Source: netip.MustParseAddrPort("192.0.2.7:9"), Revision: mcp.R20251125}
	d := &guard.Decision{Action: e.Action, At: time.Unix(100, 7), Policy: "1.4.0+abc", Journal: []guard.Entry{{Guard: "envelope", Action: guard.Allow}, e}}
	if err := l.Observe(context.Background(), x, &m, d); err != nil {
		t.Fatal(err)
	}
}

func TestDecisionsAreShippedInTheFormOfOPA(t *testing.T) {
	r := &receiver{}
	l := start(t, r, nil)
	observe(t, l, "alice", guard.Entry{Guard: "policy", Action: guard.Allow, Took: 15 * time.Microsecond})
	observe(t, l, "bob", guard.Entry{Guard: "policy", Reason: guard.UnknownTarget, Detail: "tool_not_allowed in access: no role"})
	observe(t, l, "carol", guard.Entry{Guard: "policy", Reason: policy.ArgumentNotAllowed, Detail: "call: CH93 0076 is blocked"})
	observe(t, l, "dave", guard.Entry{Guard: "policy", Reason: guard.GuardError, Err: errors.New("took too long")})
	observe(t, l, "erin", guard.Entry{Guard: "quota", Action: guard.Deny}) // no policy was asked
	run(t, l)
	var got []string
	for _, e := range r.events {
		var in struct {
			Principal struct{ Subject string }
			Arguments json.RawMessage
			Target    struct{ Kind, Name string }
		}
		if err := json.Unmarshal(e.Input, &in); err != nil || in.Arguments != nil || in.Target.Name != "pay" || e.Bundles["sallyport"].Revision != "1.4.0+abc" || e.Labels["id"] != "r1" || len(e.Erased) != 2 || e.RequestedBy != "192.0.2.7:9" || e.Timestamp.UnixNano() != 100*1e9+7 || !strings.HasPrefix(e.DecisionID, "e1-") {
			t.Errorf("%v: %+v", err, e)
		}
		word := "error"
		if e.Result != nil {
			word = fmt.Sprint(e.Result.Allow, " ", e.Result.Reason)
		}
		got = append(got, in.Principal.Subject+" "+e.Path+" "+strings.TrimSpace(word))
	}
	if want := "alice sallyport/call true, bob sallyport/access false tool_not_allowed, carol sallyport/call false argument_not_allowed, dave sallyport/call error"; strings.Join(got, ", ") != want {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
	if strings.Contains(r.bodies.String(), "CH93") {
		t.Error("an argument left the gateway, and nobody had said that it may")
	}
	l.Arguments = true
	observe(t, l, "alice", guard.Entry{Guard: "policy", Action: guard.Allow})
	run(t, l)
	if last := r.events[len(r.events)-1]; !strings.Contains(string(last.Input), "CH93") || last.Erased != nil {
		t.Errorf("got %+v", last)
	}
}

func TestWhatCannotBeShippedNowIsShippedLater(t *testing.T) {
	tries := 0
	r := &receiver{status: func(int) int {
		if tries++; tries < 2 {
			return http.StatusServiceUnavailable
		}
		return 0
	}}
	l := start(t, r, nil)
	for i := range 5 {
		observe(t, l, fmt.Sprint(i), guard.Entry{Guard: "policy", Action: guard.Allow})
	}
	run(t, l)
	if s := l.Status(); s.Sent != 5 || s.Dropped != 0 || len(r.events) != 5 || s.Error != "" {
		t.Errorf("%+v, %d arrived", s, len(r.events))
	}
}

func TestABatchThatIsTooLargeIsHalvedAndOneThatIsRefusedStopsNothing(t *testing.T) {
	r := &receiver{status: func(n int) int {
		if n > 2 {
			return http.StatusRequestEntityTooLarge
		}
		return 0
	}}
	l := start(t, r, nil)
	for i := range 9 {
		observe(t, l, fmt.Sprint(i), guard.Entry{Guard: "policy", Action: guard.Allow})
	}
	run(t, l)
	if s := l.Status(); s.Sent != 9 || len(r.events) != 9 {
		t.Errorf("%+v, %d arrived", s, len(r.events))
	}
	r.status = func(int) int { return http.StatusBadRequest }
	observe(t, l, "x", guard.Entry{Guard: "policy", Action: guard.Allow})
	run(t, l)
	if s := l.Status(); s.Dropped != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheBufferIsBounded(t *testing.T) {
	l := start(t, &receiver{}, func(o *Options) { o.Buffer = 4 << 10 })
	for range 100 {
		observe(t, l, "alice", guard.Entry{Guard: "policy", Action: guard.Allow})
	}
	s := l.Status()
	if s.Waiting == 0 || s.Waiting > 5 || s.Dropped != 100-uint64(s.Waiting) {
		t.Errorf("%+v", s)
	}
	run(t, l)
	if after := l.Status(); after.Sent != uint64(s.Waiting) {
		t.Errorf("%+v", after)
	}
	observe(t, l, "alice", guard.Entry{Guard: "policy", Action: guard.Allow})
	if s := l.Status(); s.Waiting != 1 {
		t.Errorf("there is room again, and %+v", s)
	}
}

func BenchmarkObserve(b *testing.B) {
	l, err := New(Options{Buffer: 1 << 20, Labels: map[string]string{"id": "r1"}})
	if err != nil {
		b.Fatal(err)
	}
	m, _ := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"iban":"CH93 0076"}}}`))
	x := &guard.Exchange{ID: "e1", Principal: guard.Principal{Subject: "alice", Roles: []string{"clerk"}}, Server: guard.Server{Name: "bank"}}
	d := &guard.Decision{Action: guard.Allow, At: time.Unix(100, 7), Policy: "1.4.0+abc", Journal: []guard.Entry{{Guard: "policy", Action: guard.Allow}}}
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Observe(context.Background(), x, &m, d)
		l.mu.Lock()
		l.waiting, l.size = l.waiting[:0], 0
		l.mu.Unlock()
	}
}
