package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// Command does what an operator asks for; body is JSON. Its answer is shown as
// JSON, its error as text with status 409.
type Command func(ctx context.Context, body []byte) (any, error)

// Route is a page of its own. One of Show and Do is set.
type Route struct {
	Pattern string // as http.ServeMux has them
	Show    func(*http.Request) (any, error)
	Do      Command
}

// maxBody bounds a command.
const maxBody = 64 << 10

func (r Route) handler() http.HandlerFunc {
	if r.Do == nil {
		return func(w http.ResponseWriter, req *http.Request) {
			v, err := r.Show(req)
			answer(w, v, err, http.StatusNotFound)
		}
	}
	return func(w http.ResponseWriter, req *http.Request) {
		if err := own(req); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
		if err != nil {
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		v, err := r.Do(req.Context(), body)
		answer(w, v, err, http.StatusConflict)
	}
}

// own refuses what a page in a browser on this machine could have been made to
// send: such a request cannot have this content type unasked, and says where it
// comes from.
func own(req *http.Request) error {
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errors.New("a command needs Content-Type: application/json")
	}
	if req.Header.Get("Origin") != "" || req.Header.Get("Sec-Fetch-Site") != "" {
		return errors.New("a command must not come from a browser")
	}
	return nil
}

func answer(w http.ResponseWriter, v any, err error, status int) {
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client may be gone
}
