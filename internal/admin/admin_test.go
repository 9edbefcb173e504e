package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreServedOnlyWhenAskedFor(t *testing.T) {
	for asked, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		h := Handler(Parts{Metrics: http.NotFoundHandler(), Pprof: asked})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9003"+path, nil))
			if w.Code != want {
				t.Errorf("pprof %v: %s gives %d", asked, path, w.Code)
			}
		}
	}
}

func TestWebPagesNeitherReadNorProfile(t *testing.T) {
	h := Handler(Parts{
		Pprof: true, Status: func() any { return "secret" },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("secret")) }),
	})
	for name, change := range map[string]func(*http.Request){
		"a name that resolves to us":      func(r *http.Request) { r.Host = "evil.example:9003" },
		"a script":                        func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"an image, which it cannot read":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a page of another port":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"a sandboxed page, or a file":     func(r *http.Request) { r.Header.Set("Origin", "null") },
		"a number in the name of another": func(r *http.Request) { r.Host = "127.0.0.1.evil.example" },
	} {
		for _, path := range []string{"/v1/status", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1"} {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9003"+path, nil)
			change(r)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusForbidden {
				t.Errorf("%s: %s gives %d", name, path, w.Code)
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "http://localhost:9003/v1/status", nil)
	r.Header.Set("Sec-Fetch-Site", "none") // typed into a browser
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("an operator: %d", w.Code)
	}
}
