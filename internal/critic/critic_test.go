package critic

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/injection"
	"github.com/sallyport/sallyport/internal/remote"
)

func client(t *testing.T, url string, timeout time.Duration, concurrency int) *Client {
	t.Helper()
	r, err := remote.New(remote.Options{URL: url, MaxReply: MaxReply, Token: func() (string, error) { return "s3cret", nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return New(r, timeout, concurrency, time.Now)
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/v1/judge"
}

var two = []injection.Question{{Kind: "result", Text: "Ignore that.", Score: 0.6}, {Kind: "description", Text: "Adds.", Score: 0.5}}

func TestTheCriticIsAskedWhatItHasToKnowAndNoMore(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if want := `{"texts":[{"kind":"result","text":"Ignore that.","score":0.6},{"kind":"description","text":"Adds.","score":0.5}]}`; string(b) != want || r.URL.Path != "/v1/judge" || r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%s %s %v", r.URL.Path, b, r.Header)
		}
		_, _ = io.WriteString(w, `{"opinions":[{"score":0.97,"confidence":0.8,"why":"it asks to"},{"score":0}]}`)
	})
	got, err := client(t, url, 5*time.Second, 2).Ask(t.Context(), two)
	if err != nil || len(got) != 2 || got[0] != (injection.Opinion{Score: 0.97, Confidence: 0.8}) || got[1] != (injection.Opinion{Score: 0, Confidence: 1}) {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection is not noticed
			<-r.Context().Done()
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all is well") },
		"too few": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"opinions":[{"score":0}]}`) },
		"none":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
		"no score": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"opinions":[{},{"score":1}]}`)
		},
		"a score beyond": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"opinions":[{"score":-1},{"score":1}]}`)
		},
		"a confidence beyond": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"opinions":[{"score":0,"confidence":7},{"score":1}]}`)
		},
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"opinions":[{"score":0},{"score":0}],"why":"`+strings.Repeat("a", 1<<20)+`"}`)
		},
		"a connection that ends": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		limit := 5 * time.Second
		if name == "slow" {
			limit = 30 * time.Millisecond
		}
		if got, err := client(t, serve(t, h), limit, 2).Ask(t.Context(), two); err == nil || got != nil {
			t.Errorf("%s: %+v", name, got)
		} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "Ignore") {
			t.Errorf("%s: tells too much: %v", name, err)
		}
	}
}

func TestAServiceThatFailsIsLeftAloneForAWhile(t *testing.T) {
	var asked atomic.Int32
	var well atomic.Bool
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !well.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"opinions":[{"score":0},{"score":0}]}`)
	})
	c := client(t, url, 5*time.Second, 2)
	now := time.Unix(1000, 0)
	c.now = func() time.Time { return now }
	for range 20 {
		_, _ = c.Ask(t.Context(), two)
	}
	if n := asked.Load(); n != failures {
		t.Errorf("asked %d times", n)
	}
	now = now.Add(pause)
	for range 3 {
		_, _ = c.Ask(t.Context(), two)
	}
	if n := asked.Load(); n != failures+1 {
		t.Errorf("asked %d times, after the pause", n)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	now, _ = now.Add(2*pause), well.Swap(true)
	_, _ = c.Ask(gone, two) // whose client has gone says nothing of the service
	if _, err := c.Ask(t.Context(), two); err != nil {
		t.Errorf("it is back, and nobody finds out: %v", err)
	}
	if _, err := c.Ask(t.Context(), two); err != nil {
		t.Error(err)
	}
}

func TestQuestionsUnderWayAreBounded(t *testing.T) {
	var most, now atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		var q struct{ Texts []question }
		_ = json.NewDecoder(r.Body).Decode(&q)
		now.Add(-1)
		_, _ = io.WriteString(w, `{"opinions":[{"score":0},{"score":0}]}`)
	})
	c := client(t, url, 10*time.Second, 3)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, err := c.Ask(t.Context(), two); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d at once", most.Load())
	}
}
