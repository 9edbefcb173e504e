package transcripts

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// server answers as the transcript says that is being replayed.
type server struct {
	url string

	mu   sync.Mutex
	say  message
	seen string
}

func startServer(t *testing.T) *server {
	s := &server{}
	h := httptest.NewServer(s)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	s.url = h.URL
	return s
}

// expect makes tr the transcript that is being replayed.
func (s *server) expect(tr *transcript) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say, s.seen = parse(tr.part["reply"]), ""
}

// got returns what reached the server.
func (s *server) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.seen += upstream(r.Method, r.Header, string(b))
	say := s.say
	s.mu.Unlock()
	for _, h := range say.headers {
		w.Header().Add(h[0], h[1])
	}
	line, open := strings.CutSuffix(say.line, " open")
	code, err := strconv.Atoi(line)
	if err != nil {
		code = 500
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, say.body)
	if open {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}
