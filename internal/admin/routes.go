package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
)

// Command does what an operator asks for; body is JSON. An error is shown with
// status 409.
type Command func(ctx context.Context, body []byte) (any, error)

// Route is a page of its own. One of Show, Do and Page is set.
type Route struct {
	Pattern string // as http.ServeMux has them
	Show    func(*http.Request) (any, error)
	Do      Command
	Page    http.HandlerFunc // instead, for what is not always JSON; it changes nothing
}

// maxBody bounds a command.
const maxBody = 64 << 10

func (r Route) handler() http.Handler {
	if r.Page != nil {
		return local(r.Page)
	}
	if r.Do == nil {
		return local(func(w http.ResponseWriter, req *http.Request) {
			v, err := r.Show(req)
			answer(w, v, err, http.StatusNotFound)
		})
	}
	return local(func(w http.ResponseWriter, req *http.Request) {
		if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			fail(w, http.StatusBadRequest, errors.New("send application/json"))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
		if err != nil {
			fail(w, http.StatusRequestEntityTooLarge, errors.New("the body is too large"))
			return
		}
		v, err := r.Do(req.Context(), body)
		answer(w, v, err, http.StatusConflict)
	})
}

func answer(w http.ResponseWriter, v any, err error, status int) {
	if err != nil {
		fail(w, status, err)
		return
	}
	reply(w, http.StatusOK, v)
}
