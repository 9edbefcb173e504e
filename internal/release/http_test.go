package release

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/remote"
)

// server serves an archive as OPA's bundle services do.
type server struct {
	mu      sync.Mutex
	archive []byte
	etag    string
	status  int
	polls   bool          // knows long polling
	waits   time.Duration // how long at most, then
	prefer  []string
	changed chan struct{}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.prefer = append(s.prefer, r.Header.Get("Prefer"))
	same := s.etag != "" && r.Header.Get("If-None-Match") == s.etag
	polls, changed, waits := s.polls, s.changed, s.waits
	s.mu.Unlock()
	if polls {
		w.Header().Set("Content-Type", bundles)
		if same && strings.Contains(r.Header.Get("Prefer"), "wait=") {
			select {
			case <-changed:
			case <-r.Context().Done():
				return
			case <-time.After(waits):
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
	case s.etag != "" && r.Header.Get("If-None-Match") == s.etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", s.etag)
		_, _ = w.Write(s.archive)
	}
}

func (s *server) set(archive, etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archive, s.etag = []byte(archive), etag
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

func fetching(t *testing.T, h http.Handler) *HTTP {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := remote.New(remote.Options{URL: s.URL, MaxReply: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return &HTTP{Client: c, Timeout: 5 * time.Second}
}

func TestABundleIsFetchedOnce(t *testing.T) {
	s := &server{}
	s.set("one", `"1"`)
	h, ctx := fetching(t, s), context.Background()
	o, err := h.Fetch(ctx, "", time.Minute)
	if err != nil || string(o.Archive) != "one" || o.Mark != `"1"` || o.Waits {
		t.Fatalf("got %+v, %v", o, err)
	}
	if o, err = h.Fetch(ctx, o.Mark, time.Minute); err != nil || o.Archive != nil || o.Mark != `"1"` || o.Waits {
		t.Fatalf("not modified: %+v, %v", o, err)
	}
	s.set("two", `"2"`)
	if o, err = h.Fetch(ctx, o.Mark, time.Minute); err != nil || string(o.Archive) != "two" || o.Mark != `"2"` {
		t.Fatalf("changed: %+v, %v", o, err)
	}
	s.status = http.StatusBadGateway
	if o, err = h.Fetch(ctx, o.Mark, time.Minute); err == nil || !strings.Contains(err.Error(), "502") {
		t.Fatalf("a server in trouble: %+v, %v", o, err)
	}
	s.status = http.StatusNotModified
	if o, err = h.Fetch(ctx, "", time.Minute); err == nil {
		t.Fatalf("not modified since nothing: %+v", o)
	}
}

func TestLongPollingTellsOfAChangeAtOnce(t *testing.T) {
	s := &server{polls: true, waits: time.Minute}
	s.set("one", `"1"`)
	h, ctx := fetching(t, s), context.Background()
	o, err := h.Fetch(ctx, "", time.Minute)
	if err != nil || !o.Waits {
		t.Fatalf("got %+v, %v", o, err)
	}
	if s.prefer[0] != "modes=snapshot" {
		t.Errorf("asks a server that it does not know to wait: %q", s.prefer)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		s.set("two", `"2"`)
	}()
	if o, err = h.Fetch(ctx, o.Mark, time.Minute); err != nil || string(o.Archive) != "two" {
		t.Fatalf("a change while waiting: %+v, %v", o, err)
	}
	if want := "modes=snapshot;wait=60"; s.prefer[1] != want {
		t.Errorf("got %q, want %q", s.prefer[1], want)
	}
	s.mu.Lock()
	s.waits = 50 * time.Millisecond
	s.mu.Unlock()
	if o, err = h.Fetch(ctx, o.Mark, time.Minute); err != nil || o.Archive != nil || !o.Waits {
		t.Fatalf("no change: %+v, %v", o, err)
	}
	s.mu.Lock()
	s.status = http.StatusServiceUnavailable
	s.mu.Unlock()
	if _, err = h.Fetch(ctx, o.Mark, time.Minute); err == nil || h.waits {
		t.Errorf("a server in trouble is asked to wait: %v", err)
	}
}

func TestASlowServerIsGivenUp(t *testing.T) {
	h := fetching(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		for range 100 { // a byte at a time
			if _, err := w.Write([]byte("x")); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}))
	h.Timeout = 100 * time.Millisecond
	if _, err := h.Fetch(context.Background(), "", 0); err == nil {
		t.Error("it was waited for")
	}
}
