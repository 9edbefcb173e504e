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
	page, err := b.open(ctx, http.MethodGet, to, "")
	for range 3 {
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(page.location, Redirect+"?") {
			return page.location, nil
		}
		found := action.FindStringSubmatch(page.text)
		if page.status != http.StatusOK || found == nil {
			break
		}
		next, err := page.url.Parse(html.UnescapeString(found[1]))
		if err != nil {
			return "", err
		}
		b.Logins++
		fields := url.Values{"username": {b.user}, "password": {b.password}}
		if page, err = b.open(ctx, http.MethodPost, next.String(), fields.Encode()); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("oauth: browser: %s shows %d: %.300s", page.url, page.status, page.text)
}

// page is what the browser shows, or where it is sent from there.
type page struct {
	url            *url.URL
	status         int
	location, text string
}

func (b *Browser) open(ctx context.Context, verb, to, body string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, verb, to, strings.NewReader(body))
	if err != nil {
		return page{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return page{resp.Request.URL, resp.StatusCode, resp.Header.Get("Location"), string(text)}, err
}
