package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/revocation"
)

// desk answers every change with err.
type desk struct {
	err   error
	added []revocation.Entry
}

func (d *desk) All() []revocation.Entry { return d.added }

func (d *desk) Add(_ context.Context, e revocation.Entry) (revocation.Entry, error) {
	d.added = append(d.added, e)
	return e, d.err
}

func (d *desk) Remove(_ context.Context, id string) (revocation.Entry, error) {
	return revocation.Entry{ID: id}, d.err
}

func TestRevocationsAreMadeListedAndUndone(t *testing.T) {
	const good = `{"kind":"subject","value":"ana","issuer":"https://id.example","issued_before":"2026-11-01T12:00:00Z","expires":"2026-12-01T12:00:00Z","note":"left"}`
	for _, c := range []struct {
		name, method, path, body string
		err                      error
		status                   int
		says                     string
	}{
		{"made", "POST", "", good, nil, 201, `"value": "ana"`},
		{"made here only", "POST", "", good, fmt.Errorf("%w: redis is away", revocation.ErrUnshared), 202, "redis is away"},
		{"a full list", "POST", "", good, revocation.ErrFull, 409, "full"},
		{"what the gateway refuses", "POST", "", good, fmt.Errorf("%w: value: is empty", admin.ErrRequest), 400, "value: is empty"},
		{"a member that is misspelt", "POST", "", `{"kind":"subject","valeu":"ana"}`, nil, 400, "unknown field"},
		{"two at once", "POST", "", good + good, nil, 400, "more than one"},
		{"no JSON", "POST", "", "kind=subject", nil, 400, ""},
		{"without end", "POST", "", `{"note":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 400, ""},
		{"undone", "DELETE", "/5f", "", nil, 200, `"id": "5f"`},
		{"unknown", "DELETE", "/5f", "", revocation.ErrUnknown, 404, "no such entry"},
		{"not undone for want of Redis", "DELETE", "/5f", "", errors.New("redis is away"), 503, "redis is away"},
		{"listed", "GET", "", "", nil, 200, `"revocations"`},
		{"changed in place", "PUT", "/5f", good, nil, 405, ""},
	} {
		d := &desk{err: c.err}
		r := httptest.NewRequest(c.method, "http://127.0.0.1:9003/v1/revocations"+c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		admin.Handler(admin.Parts{Revocations: d, Metrics: http.NotFoundHandler()}).ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if c.name == "made" && (len(d.added) != 1 || d.added[0].Note != "left" || d.added[0].IssuedBefore.Day() != 1 || d.added[0].Expires.Month() != 12) {
			t.Errorf("%+v", d.added)
		}
	}
}

// A page in the operator's browser must not undo a revocation, nor read the list.
func TestWebPagesCannotChangeTheList(t *testing.T) {
	for name, change := range map[string]func(r *http.Request){
		"a form":                                 func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"a script of another origin":             func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"a name of the attacker's for this host": func(r *http.Request) { r.Host = "evil.example:9003" },
		"a name that only looks like an address": func(r *http.Request) { r.Host = "127.0.0.1.evil.example" },
	} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			path := "/v1/revocations"
			if method == "DELETE" {
				path += "/5f"
			}
			d := new(desk)
			r := httptest.NewRequest(method, "http://127.0.0.1:9003"+path, strings.NewReader(`{"kind":"subject","value":"ana"}`))
			r.Header.Set("Content-Type", "application/json")
			change(r)
			w := httptest.NewRecorder()
			admin.Handler(admin.Parts{Revocations: d, Metrics: http.NotFoundHandler()}).ServeHTTP(w, r)
			if w.Code < 400 && (name != "a form" || method == "POST") || len(d.added) > 0 {
				t.Errorf("%s %s: %d", name, method, w.Code)
			}
		}
	}
	for _, host := range []string{"localhost:9003", "[::1]:9003", "127.0.0.1"} {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+"/v1/revocations", nil)
		w := httptest.NewRecorder()
		admin.Handler(admin.Parts{Revocations: new(desk), Metrics: http.NotFoundHandler()}).ServeHTTP(w, r)
		if w.Code != 200 {
			t.Errorf("%s: %d", host, w.Code)
		}
	}
}
