package remote

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// seen records what a server was shown.
type seen struct {
	auth, cert []string
}

func (s *seen) note(r *http.Request) {
	s.auth = append(s.auth, r.Header.Get("Authorization"))
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		s.cert = append(s.cert, "shown")
	} else {
		s.cert = append(s.cert, "")
	}
}

func tlsServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func ca(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func ours(s *httptest.Server) Options {
	return Options{
		URL: s.URL, CA: ca(s), MaxReply: 1 << 20,
		Token:       func() (string, error) { return "t0ken", nil },
		Certificate: func() (*tls.Certificate, error) { return &s.TLS.Certificates[0], nil },
	}
}

func TestARedirectToAnotherHostGetsNoCredentials(t *testing.T) {
	var there, here seen
	var home *httptest.Server
	store := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		there.note(r)
		if r.URL.Path == "/back" {
			http.Redirect(w, r, home.URL+"/file", http.StatusFound)
			return
		}
		fmt.Fprint(w, "asset")
	})
	home = tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		here.note(r)
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/file", http.StatusFound)
		case "/away":
			http.Redirect(w, r, store.URL+"/asset?signature=s3cret", http.StatusFound)
		case "/there-and-back":
			http.Redirect(w, r, store.URL+"/back", http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, "file")
		}
	})
	for _, tt := range []struct{ path, body, here, there string }{
		{"/same", "file", "Bearer t0ken Bearer t0ken", ""},
		{"/away", "asset", "Bearer t0ken", "none"},
		{"/there-and-back", "file", "Bearer t0ken none", "none"}, // once it was elsewhere, nothing is shown any more
	} {
		here, there = seen{}, seen{}
		o := ours(home)
		o.URL += tt.path
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Get(context.Background(), nil)
		if err != nil || string(r.Body) != tt.body {
			t.Errorf("%s: %v %v", tt.path, r, err)
			continue
		}
		words := func(s []string) string {
			for i := range s {
				if s[i] == "" {
					s[i] = "none"
				}
			}
			return strings.Join(s, " ")
		}
		if words(here.auth) != tt.here || words(there.auth) != tt.there {
			t.Errorf("%s: here %q, there %q", tt.path, here.auth, there.auth)
		}
		certs := strings.NewReplacer("Bearer t0ken", "shown").Replace
		if words(here.cert) != certs(tt.here) || words(there.cert) != certs(tt.there) {
			t.Errorf("%s: certificates: here %q, there %q", tt.path, here.cert, there.cert)
		}
	}
}

func TestRedirectsThatAreNotFollowed(t *testing.T) {
	var to string
	s := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	})
	o := ours(s)
	o.URL += "/bundle?signature=s3cret"
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"to clear text": "http://127.0.0.1:1/", "without end": s.URL, "to a file": "file:///etc/passwd", "nowhere": "", "to nonsense": "http://%zz",
	} {
		to = target
		r, err := c.Get(context.Background(), nil)
		if err == nil {
			t.Errorf("%s: %d", name, r.Status)
		} else if strings.Contains(err.Error(), "s3cret") { // errors are in logs and the status
			t.Errorf("%s: %v", name, err)
		}
	}
	to = "http://127.0.0.1:1/"
	if r, err := c.Post(context.Background(), "/logs", nil, []byte("x")); err != nil || r.Status != http.StatusFound {
		t.Errorf("a POST was redirected: %v %v", r, err)
	}
}

func TestBoundsOfAReply(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			w.Header().Set("Content-Length", "5000000")
			_, _ = w.Write(make([]byte, 1000))
		case "/endless":
			for range 4096 {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/truncated":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		case "/slow":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	for path, want := range map[string]string{"/long": "5000000 bytes", "/endless": "more than", "/truncated": "EOF", "/slow": "deadline"} {
		c, err := New(Options{URL: s.URL + path, MaxReply: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		if path != "/slow" {
			ctx = context.Background()
		}
		if _, err := c.Get(ctx, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		cancel()
	}
}

func TestErrorsTellNoSecrets(t *testing.T) {
	c, err := New(Options{URL: "http://127.0.0.1:1/bundle?signature=s3cret", MaxReply: 1, Token: func() (string, error) { return "t0ken", nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(context.Background(), nil); err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "bundle.tar.gz", "ftp://x/b", "https://user:password@x/b", "https:///b"} {
		if _, err := New(Options{URL: bad}); err == nil || strings.Contains(err.Error(), "password@") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A service, or a proxy before it, says in its refusal what it was shown: that is
// logged, and stands in the status.
func TestARefusalThatRepeatsTheTokenIsNotRepeated(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, "%q is no good token", r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	c, err := New(Options{URL: s.URL, MaxReply: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"Splunk", "ApiKey", "Basic", "Bearer"} {
		r, err := c.Post(context.Background(), "", http.Header{"Authorization": {scheme + " s3cr3t-t0ken"}}, nil)
		if err != nil || strings.Contains(string(r.Body), "s3cr3t") || !strings.Contains(string(r.Body), "no good token") {
			t.Errorf("%v %s", err, r.Body)
		}
	}
}
