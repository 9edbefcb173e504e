package surge

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/bench/jsonscan"
)

// server is an MCP server that works on so many calls at once, each for a while;
// further ones wait in it, which is how servers are overrun.
type server struct {
	workers chan struct{}
	service atomic.Int64 // nanoseconds of one call, give or take a fifth

	mu   sync.Mutex
	here int
	peak int
	done int
}

func newServer(workers int, service time.Duration) *server {
	s := &server{workers: make(chan struct{}, workers)}
	s.service.Store(int64(service))
	return s
}

// start serves until ctx ends, and returns the address.
func (s *server) start(ctx context.Context) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	h := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = h.Close() })
	go func() { _ = h.Serve(ln) }() // ends when it is closed
	return ln.Addr().String(), nil
}

// ServeHTTP answers a call when its turn has come and it was worked on.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || r.Method != http.MethodPost {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	s.came(1)
	defer s.came(-1)
	if s.work(r.Context()) != nil {
		return
	}
	b := append([]byte(`{"jsonrpc":"2.0","id":`), jsonscan.Get(body, "id")...)
	b = append(b, `,"result":{"content":[{"type":"text","text":"done"}],"resultType":"complete"}}`...)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

var errGone = errors.New("surge: nobody waits for the answer")

func (s *server) work(ctx context.Context) error {
	select {
	case s.workers <- struct{}{}:
	case <-ctx.Done():
		return errGone
	}
	defer func() { <-s.workers }()
	// Calls that all take the same time come and go in step, as they do nowhere.
	service := float64(s.service.Load())
	t := time.NewTimer(time.Duration(service * (0.8 + 0.4*rand.Float64()))) //nolint:gosec // hides nothing
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errGone
	}
}

func (s *server) came(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here += n
	s.peak = max(s.peak, s.here)
	if n < 0 {
		s.done++
	}
}

// seen returns the most calls that were here at once, and those that were done,
// since it was asked last.
func (s *server) seen() (peak, done int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	peak, done = s.peak, s.done
	s.peak, s.done = s.here, 0
	return peak, done
}
