// Package remote speaks to an operator's service over HTTP, such as a server of
// policy bundles: with credentials that never follow a redirect elsewhere, and
// within bounds of time and size.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say where a service is and how we prove who we are. The functions are
// called whenever the secret is needed, so that a changed one takes effect.
type Options struct {
	URL         string
	Token       func() (string, error)           // bearer token (RFC 6750); nil for none
	Certificate func() (*tls.Certificate, error) // for mutual TLS; nil for none
	CA          []byte                           // PEM of the authorities to trust; nil for the system's
	MaxReply    int64                            // bytes of a reply's body
}

// Client speaks to one service.
type Client struct {
	base  *url.URL
	token func() (string, error)
	own   *http.Client // shows our certificate
	other *http.Client // for wherever a redirect leads
	limit int64
}

// New returns a client. It connects when it is used first.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, errors.New("remote: a URL must be http or https, with a host and without a password")
	}
	own, other := &tls.Config{MinVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("remote: ca: no certificate in it")
		}
		own.RootCAs, other.RootCAs = pool, pool
	}
	if o.Certificate != nil {
		own.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() }
	}
	return &Client{base: base, token: o.Token, own: client(own), other: client(other), limit: o.MaxReply}, nil
}

func client(c *tls.Config) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: c, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 2, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// Close closes what is idle.
func (c *Client) Close() {
	c.own.CloseIdleConnections()
	c.other.CloseIdleConnections()
}

// Reply is a whole reply.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxHops bounds how often one GET may be redirected.
const maxHops = 5

// Get fetches the service's own URL. It follows redirects: to another origin
// without our credentials, from https to http never.
func (c *Client) Get(ctx context.Context, header http.Header) (*Reply, error) {
	at, ours := c.base, true
	for range maxHops {
		r, err := c.do(ctx, http.MethodGet, at, ours, header, nil)
		if err != nil {
			return nil, err
		}
		switch r.Status {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return r, nil
		}
		next, err := at.Parse(r.Header.Get("Location"))
		switch {
		case err != nil || r.Header.Get("Location") == "" || next.Host == "" || next.Scheme != "http" && next.Scheme != "https":
			return nil, fmt.Errorf("remote: get %s: is redirected to no URL", bare(c.base))
		case at.Scheme == "https" && next.Scheme != "https":
			return nil, fmt.Errorf("remote: get %s: is redirected from https to http", bare(c.base))
		}
		ours = ours && next.Scheme == c.base.Scheme && next.Host == c.base.Host // and once elsewhere, never again
		at = next
	}
	return nil, fmt.Errorf("remote: get %s: is redirected more than %d times", bare(c.base), maxHops)
}

// Post sends body to path below the service's URL. It is not redirected.
func (c *Client) Post(ctx context.Context, path string, header http.Header, body []byte) (*Reply, error) {
	return c.do(ctx, http.MethodPost, c.base.JoinPath(path), true, header, body)
}

// Put sends a body to a path below the URL, to be there.
func (c *Client) Put(ctx context.Context, path string, header http.Header, body []byte) (*Reply, error) {
	return c.do(ctx, http.MethodPut, c.base.JoinPath(path), true, header, body)
}

func (c *Client) do(ctx context.Context, method string, at *url.URL, ours bool, header http.Header, body []byte) (*Reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("remote: %w", err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", "sallyport")
	web := c.other
	if ours {
		web = c.own
		if c.token != nil {
			token, err := c.token()
			if err != nil {
				return nil, fmt.Errorf("remote: token: %w", err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	resp, err := web.Do(req)
	if err != nil {
		var wrapped *url.Error // it names the URL, whose query may hold a signature of somebody's store
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("remote: %s %s: %w", method, bare(at), err)
	}
	defer resp.Body.Close()
	if resp.ContentLength > c.limit {
		return nil, fmt.Errorf("remote: %s %s: a reply of %d bytes, and %d are allowed", method, bare(at), resp.ContentLength, c.limit)
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("remote: %s %s: read: %w", method, bare(at), err)
	case int64(len(got)) > c.limit:
		return nil, fmt.Errorf("remote: %s %s: a reply of more than %d bytes", method, bare(at), c.limit)
	}
	if resp.StatusCode/100 != 2 { // what it says of a refusal goes to logs and the status, and it may say what it was shown
		if _, shown, _ := strings.Cut(req.Header.Get("Authorization"), " "); shown != "" {
			got = bytes.ReplaceAll(got, []byte(shown), []byte("***"))
		}
	}
	return &Reply{resp.StatusCode, resp.Header, got}, nil
}

// bare is a URL without what may be secret in it.
func bare(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }
