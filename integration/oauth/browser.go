package oauth

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Redirect is where clients have the browser sent with the code. Nothing listens
// there: the browser stops before it goes.
const Redirect = "http://127.0.0.1:33418/callback"

// Browser keeps cookies, follows redirects, and has a person before it who fills
// in the login form when there is one.
type Browser struct {
	Logins int // how often the form was filled in

	user, password string
	client         *http.Client
}

// NewBrowser returns a browser before which a person sits.
func NewBrowser(t testing.TB, user, password string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{user: user, password: password, client: &http.Client{
		Jar: loopback{jar},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if strings.HasPrefix(r.URL.String(), Redirect+"?") || len(via) > 20 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// loopback takes cookies for secure connections on loopback too, as browsers do
// (Secure Contexts, 3.1).
type loopback struct{ *cookiejar.Jar }

func (l loopback) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		c.Secure = false
	}
	l.Jar.SetCookies(u, cookies)
}

var action = regexp.MustCompile(`<form[^>]*\saction="([^"]+)"`)

// Authorize opens an authorization URL and returns where the browser was sent in
// the end: the redirect URI with a code, or with an error.
func (b *Browser) Authorize(ctx context.Context, to string) (string, error) {
	resp, text, err := b.send(ctx, http.MethodGet, to, "")
	for range 3 {
		if err != nil {
			return "", err
		}
		if place := resp.Header.Get("Location"); strings.HasPrefix(place, Redirect+"?") {
			return place, nil
		}
		found := action.FindStringSubmatch(text)
		if resp.StatusCode != http.StatusOK || found == nil {
			break
		}
		next, err := resp.Request.URL.Parse(html.UnescapeString(found[1]))
		if err != nil {
			return "", err
		}
		b.Logins++
		fields := url.Values{"username": {b.user}, "password": {b.password}}
		if resp, text, err = b.send(ctx, http.MethodPost, next.String(), fields.Encode()); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("oauth: browser: %s shows %s: %.300s", resp.Request.URL, resp.Status, text)
}

func (b *Browser) send(ctx context.Context, verb, to, body string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, verb, to, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, string(text), err
}
