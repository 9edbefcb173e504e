package matrix

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// bearer starts a proxy to the host of a URL that sends each request with a
// token of its own, which token makes for its path.
func bearer(t *testing.T, host string, token func(path string) string, rt http.RoundTripper) *httptest.Server {
	t.Helper()
	to, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Transport: rt, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Set("Authorization", "Bearer "+token(r.In.URL.Path))
		if r.Out.Body == nil {
			return
		}
		// net/http closes the body of a request as soon as the reply to it
		// begins. The proxy's own client looks once more for the end of that
		// body after it was sent, and when it comes too late, it takes the
		// closed body for a failed request and drops the connection: on a busy
		// machine, a stream that has begun with a question never got further
		// (https://go.dev/issue/40747).
		body, err := io.ReadAll(r.Out.Body)
		if err != nil {
			t.Logf("a request broke off: %v", err) // then what came of it is too short for its length
		}
		r.Out.Body = io.NopCloser(bytes.NewReader(body))
	}})
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// slow sends requests but looks for the end of their bodies only when the
// reply has begun to reach the client.
type slow struct{ begun, ended chan struct{} }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Body = &slowBody{r.Body, s, int(r.ContentLength)}
	return http.DefaultTransport.RoundTrip(r)
}

type slowBody struct {
	io.ReadCloser
	slow slow
	left int
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.slow.begun
		defer close(b.slow.ended)
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= n
	return n, err
}

func TestTheProxyOfThisTestLosesNoReplyThatOvertakesTheEndOfItsRequest(t *testing.T) {
	s := slow{make(chan struct{}), make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "question, ")
		_ = http.NewResponseController(w).Flush()
		<-s.ended
		_, _ = io.WriteString(w, "result")
	}))
	t.Cleanup(server.Close)
	proxy := bearer(t, server.URL, func(string) string { return "x" }, s)
	r, err := proxy.Client().Post(proxy.URL, "text/plain", strings.NewReader("call"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	close(s.begun)
	if got, err := io.ReadAll(r.Body); err != nil || string(got) != "question, result" {
		t.Errorf("the client got %q, %v", got, err)
	}
}
