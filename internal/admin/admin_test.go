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
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("pprof %v: %s gives %d", asked, path, w.Code)
			}
		}
	}
}
