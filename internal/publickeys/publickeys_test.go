package publickeys

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/segment"
)

func keys(t *testing.T, ids ...string) []byte {
	t.Helper()
	var list []segment.PublicKey
	for _, id := range ids {
		k, err := segment.Public(ed25519.NewKeyFromSeed(bytes.Repeat([]byte(id[:1]), ed25519.SeedSize)).Public())
		if err != nil {
			t.Fatal(err)
		}
		k.ID = id
		list = append(list, k)
	}
	b, err := segment.MarshalKeys(list...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, text []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

var quiet = slog.New(slog.DiscardHandler)

func TestAFileIsFollowedAndAnUnreadableOneChangesNothing(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1000, 0)
	path := filepath.Join(dir, "crm.jwks")
	write(t, path, keys(t, "a"), now)
	var r Rings
	v, err := r.Open(dir, []string{"crm.jwks"})
	if err != nil || len(v.Find("crm.jwks", "a")) != 1 || len(v.Find("other.jwks", "a")) != 0 {
		t.Fatalf("%v", err)
	}
	write(t, path, keys(t, "a", "b"), now.Add(time.Second)) // the next key, before it is used
	r.Refresh(t.Context(), now, quiet)
	if len(v.Find("crm.jwks", "a")) != 1 || len(v.Find("crm.jwks", "b")) != 1 {
		t.Error("a new key was not taken")
	}
	var log bytes.Buffer
	write(t, path, []byte(`{"keys":[`), now.Add(2*time.Second))
	for range 3 {
		r.Refresh(t.Context(), now, slog.New(slog.NewTextHandler(&log, nil)))
	}
	if len(v.Find("crm.jwks", "b")) != 1 || strings.Count(log.String(), "cannot be read") != 1 {
		t.Errorf("half a file: %s", log.String())
	}
	write(t, path, keys(t, "b"), now.Add(3*time.Second)) // the old key is taken back
	r.Refresh(t.Context(), now, slog.New(slog.NewTextHandler(&log, nil)))
	if len(v.Find("crm.jwks", "a")) != 0 || !strings.Contains(log.String(), "again") {
		t.Errorf("a key that was taken back counts: %s", log.String())
	}
	if _, err := new(Rings).Open(dir, []string{"none.jwks"}); err == nil {
		t.Error("a file that is not there")
	}
}

func TestKeysAtAURLOutliveItsSilenceForADay(t *testing.T) {
	var body atomic.Value
	var asked atomic.Int32
	body.Store(keys(t, "a"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if b := body.Load().([]byte); len(b) > 0 {
			_, _ = w.Write(b)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	var r Rings
	v, err := r.Open("", []string{s.URL})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	r.Refresh(t.Context(), now, quiet)
	if len(v.Find(s.URL, "a")) != 1 {
		t.Fatal("not fetched")
	}
	r.Refresh(t.Context(), now.Add(10*time.Second), quiet)
	if asked.Load() != 1 {
		t.Error("fetched again though it is fresh")
	}
	body.Store(keys(t, "a", "b"))
	v.Find(s.URL, "b")
	r.Refresh(t.Context(), now.Add(12*time.Second), quiet)
	if len(v.Find(s.URL, "b")) != 1 {
		t.Error("an unknown id does not have the keys fetched")
	}
	body.Store([]byte(nil))
	r.Refresh(t.Context(), now.Add(time.Hour), quiet)
	if len(v.Find(s.URL, "b")) != 1 {
		t.Error("keys are gone because their owner did not answer")
	}
	r.Refresh(t.Context(), now.Add(25*time.Hour), quiet)
	if len(v.Find(s.URL, "b")) != 0 {
		t.Error("keys are believed for ever")
	}
	for _, reference := range []string{"http://keys.example/jwks", "ftp://127.0.0.1/jwks"} {
		if _, err := new(Rings).Open("", []string{reference}); err == nil {
			t.Errorf("%s is taken", reference)
		}
	}
}
