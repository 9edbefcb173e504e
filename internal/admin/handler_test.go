package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

func TestSignsOfLifeSayWhatIsTrue(t *testing.T) {
	var notReady error
	h := admin.Handler(admin.Parts{
		Ready:   func() error { return notReady },
		Status:  func() any { return map[string]string{"name": "</script>\n\""} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) }),
	})
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "http://127.0.0.1:9003"+path, nil))
		return w
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/status"} {
		if w := ask("GET", path); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("GET %s: %d %q", path, w.Code, w.Body)
		}
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			if w := ask(method, path); w.Code != 405 {
				t.Errorf("%s %s: %d; nothing here can be changed", method, path, w.Code)
			}
		}
	}
	notReady = errors.New("no Envoy has accepted the configuration yet")
	if w := ask("GET", "/readyz"); w.Code != 503 || w.Body.String() != notReady.Error()+"\n" {
		t.Errorf("not ready: %d %q", w.Code, w.Body)
	}
	if w := ask("GET", "/healthz"); w.Code != 200 {
		t.Errorf("alive, but not ready: %d", w.Code)
	}
	w := ask("GET", "/v1/status")
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["name"] != "</script>\n\"" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status is %q as %q, %v", w.Body, w.Header().Get("Content-Type"), err)
	}
	for _, path := range []string{"/", "/v1", "/v1/status/x", "/debug/pprof/", "/metrics/../v1/nothing"} {
		if w := ask("GET", path); w.Code == 200 {
			t.Errorf("GET %s is served", path)
		}
	}
}
