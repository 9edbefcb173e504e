// Package admin serves the operator's HTTP interface on a loopback address.
package admin

import (
	"net/http"
	"net/http/pprof"
)

// Parts are what the interface shows.
type Parts struct {
	Ready   func() error // nil when requests can be served
	Status  func() any   // the body of /v1/status
	Metrics http.Handler
	Pprof   bool // Go's profiles too
	Routes  []Route

	Revocations Revocations // nil: none can be made
}

// Handler returns the interface: /healthz, /readyz, /metrics, /v1/status,
// /v1/revocations and, if asked for, /debug/pprof/.
func Handler(p Parts) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := p.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	mux.Handle("GET /metrics", local(p.Metrics.ServeHTTP))
	mux.Handle("GET /v1/status", local(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, p.Status()) }))
	for _, r := range p.Routes {
		mux.Handle(r.Pattern, r.handler())
	}
	if p.Revocations != nil {
		revocations(mux, p.Revocations)
	}
	if p.Pprof {
		mux.Handle("GET /debug/pprof/", local(pprof.Index))
		mux.Handle("GET /debug/pprof/profile", local(pprof.Profile))
		mux.Handle("GET /debug/pprof/trace", local(pprof.Trace))
	}
	return mux
}
