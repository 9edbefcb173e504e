package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func start(t *testing.T, h http.HandlerFunc) *Sink {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := remote.New(remote.Options{URL: srv.URL + "/hook", MaxReply: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Client: c, Secret: func() (string, error) { return string(secret), nil }, Now: time.Now})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTheReceiverCanVerifyWhatItGets(t *testing.T) {
	var got, header string
	s := start(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, header = string(b), r.Header.Get(SignatureHeader)
	})
	if _, err := s.Deliver(context.Background(), []*deliver.Item{{Body: []byte(`{"seq":1}`)}, {Body: []byte(`{"seq":2}`)}}); err != nil {
		t.Fatal(err)
	}
	if got != "{\"seq\":1}\n{\"seq\":2}\n" {
		t.Errorf("%q", got)
	}
	now := time.Now()
	for name, c := range map[string]struct {
		secret, body, header string
		now                  time.Time
		want                 error
	}{
		"as it came":                       {string(secret), got, header, now, nil},
		"an altered body":                  {string(secret), strings.Replace(got, "1", "3", 1), header, now, ErrSignature},
		"another secret":                   {"x", got, header, now, ErrSignature},
		"replayed after an hour":           {string(secret), got, header, now.Add(time.Hour), ErrTime},
		"replayed with a newer time":       {string(secret), got, "t=9" + strings.TrimPrefix(header, "t=1"), now, ErrSignature},
		"no signature":                     {string(secret), got, "", now, ErrSignature},
		"a signature cut short, in effect": {string(secret), got, header[:len(header)-2], now, ErrSignature},
	} {
		if err := Verify([]byte(c.secret), []byte(c.body), c.header, c.now, 5*time.Minute); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatusesSayWhetherToTryAgain(t *testing.T) {
	for status, refused := range map[int]bool{400: true, 413: true, 422: true, 401: false, 403: false, 404: false, 429: false, 500: false, 503: false, 302: false} {
		s := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("so\x1b it is"))
		})
		_, err := s.Deliver(context.Background(), []*deliver.Item{{Body: []byte(`{}`)}})
		if err == nil || errors.Is(err, deliver.ErrRefused) != refused || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: %v", status, err)
		}
	}
}
