package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCommandsAreTakenFromOperatorsOnly(t *testing.T) {
	done := 0
	mux := http.NewServeMux()
	for _, r := range []Route{
		{Pattern: "POST /do", Do: func(_ context.Context, body []byte) (any, error) {
			if string(body) != "{}" {
				return nil, errors.New("no such thing")
			}
			done++
			return map[string]int{"done": done}, nil
		}},
		{Pattern: "GET /show", Show: func(*http.Request) (any, error) { return nil, errors.New("nothing to show") }},
	} {
		mux.Handle(r.Pattern, r.handler())
	}
	for _, tt := range []struct {
		name, method, path, body, header string
		status                           int
		want                             string
	}{
		{"a command", "POST", "/do", "{}", "Content-Type: application/json", 200, `"done": 1`},
		{"one that cannot be done", "POST", "/do", "[]", "Content-Type: application/json", 409, "no such thing"},
		{"a form of a web page", "POST", "/do", "{}", "Content-Type: text/plain", 400, "application/json"},
		{"a script of a web page", "POST", "/do", "{}", "Origin: https://evil.example", 403, "not from a web page"},
		{"a name that resolves to us", "POST", "/do", "{}", "Host: evil.example", 403, "by IP address"},
		{"too much", "POST", "/do", strings.Repeat("x", maxBody+1), "Content-Type: application/json", 413, "too large"},
		{"a command as a page", "GET", "/do", "", "", 405, ""},
		{"a page that is not there", "GET", "/show", "", "", 404, "nothing to show"},
	} {
		r := httptest.NewRequest(tt.method, "http://127.0.0.1:9003"+tt.path, strings.NewReader(tt.body))
		if name, value, ok := strings.Cut(tt.header, ": "); ok {
			if r.Header.Set(name, value); name == "Host" {
				r.Host = value
			}
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
	if done != 1 {
		t.Errorf("%d commands were done", done)
	}
}
