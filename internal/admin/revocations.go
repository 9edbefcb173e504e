package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/internal/revocation"
)

// Revocations is the list that operators change.
type Revocations interface {
	All() []revocation.Entry
	Add(context.Context, revocation.Entry) (revocation.Entry, error)
	Remove(ctx context.Context, id string) (revocation.Entry, error)
}

// ErrRequest marks what whoever asked has to mend.
var ErrRequest = errors.New("bad request")

// maxRequest bounds the body of a request, in bytes.
const maxRequest = 64 << 10

// revocations serves /v1/revocations.
func revocations(mux *http.ServeMux, list Revocations) {
	mux.Handle("GET /v1/revocations", local(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, struct {
			List []revocation.Entry `json:"revocations"`
		}{list.All()})
	}))
	mux.Handle("POST /v1/revocations", local(func(w http.ResponseWriter, r *http.Request) {
		e, err := readRevocation(r)
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		e, err = list.Add(r.Context(), e)
		outcome(w, e, err, http.StatusCreated)
	}))
	mux.Handle("DELETE /v1/revocations/{id}", local(func(w http.ResponseWriter, r *http.Request) {
		e, err := list.Remove(r.Context(), r.PathValue("id"))
		if err != nil && !errors.Is(err, revocation.ErrUnknown) && !errors.Is(err, ErrRequest) {
			fail(w, http.StatusServiceUnavailable, err) // it is still on the list
			return
		}
		outcome(w, e, err, http.StatusOK)
	}))
}

func readRevocation(r *http.Request) (e revocation.Entry, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return e, errors.New("send application/json")
	}
	var in struct {
		Kind         revocation.Kind `json:"kind"`
		Value        string          `json:"value"`
		Issuer       string          `json:"issuer"`
		IssuedBefore time.Time       `json:"issued_before"`
		Expires      time.Time       `json:"expires"`
		Note         string          `json:"note"`
	}
	d := json.NewDecoder(io.LimitReader(r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return e, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return e, errors.New("more than one JSON value")
	}
	return revocation.Entry{Kind: in.Kind, Value: in.Value, Issuer: in.Issuer, IssuedBefore: in.IssuedBefore, Expires: in.Expires, Note: in.Note}, nil
}

// outcome tells what became of a change.
func outcome(w http.ResponseWriter, e revocation.Entry, err error, done int) {
	body := struct {
		Revocation revocation.Entry `json:"revocation"`
		Warning    string           `json:"warning,omitempty"`
	}{Revocation: e}
	switch {
	case errors.Is(err, ErrRequest):
		fail(w, http.StatusBadRequest, err)
	case errors.Is(err, revocation.ErrUnknown):
		fail(w, http.StatusNotFound, err)
	case errors.Is(err, revocation.ErrFull):
		fail(w, http.StatusConflict, err)
	case err != nil: // it is in force here
		body.Warning = err.Error()
		reply(w, http.StatusAccepted, body)
	default:
		reply(w, done, body)
	}
}

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // the client may be gone
}

// local serves those who came to this address by its number. A web page that an
// operator looks at can make the browser ask, too, but only with an Origin, under
// a name of its own that it has resolve to this address, or, for what it cannot
// read, with the browser's word that another site asks.
func local(f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		_, err := netip.ParseAddr(host)
		site := r.Header.Get("Sec-Fetch-Site")
		page := r.Header.Get("Origin") != "" || site != "" && site != "none" && site != "same-origin"
		if page || err != nil && host != "localhost" {
			fail(w, http.StatusForbidden, errors.New("ask by IP address or localhost, and not from a web page"))
			return
		}
		f(w, r)
	})
}
