// Package provider is an OpenID provider in the test's own process: the protocol
// is zitadel/oidc's, the people and clients are the tests'.
package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Whom it knows: ana, a person who uses the public client desk, and the program
// worker with its secret. All have the role support.
const (
	Person   = "ana"
	Password = "a password for tests"
	Desk     = "desk"
	Worker   = "worker"
	Secret   = "a secret for tests"
)

// Provider is a running provider.
type Provider struct {
	URL string

	storage *storage
	down    atomic.Bool
	fetches atomic.Int64
}

// Start starts a provider that ends with the test. People are sent back to
// redirect.
func Start(t testing.TB, redirect string) *Provider {
	t.Helper()
	p := &Provider{storage: newStorage(redirect)}
	p.Rotate(t)
	mux := http.NewServeMux()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	p.URL = s.URL
	inner, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true, SupportedScopes: []string{"openid", "crm.read", "crm.write"}},
		p.storage, op.StaticIssuer(p.URL), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { p.login(w, r, op.AuthCallbackURL(inner)) })
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		inner.ServeHTTP(w, r)
	})
	mux.Handle("/", resources(inner))
	return p
}

// login is the page on which people log in; a browser that did so before is not
// asked again.
func (p *Provider) login(w http.ResponseWriter, r *http.Request, callback func(context contexter, id string) string) {
	id := r.URL.Query().Get("id")
	_, err := r.Cookie("session")
	known := err == nil
	if r.Method == http.MethodPost && r.FormValue("username") == Person && r.FormValue("password") == Password {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: Person, Path: "/", HttpOnly: true, Secure: true})
		known = true
	}
	if !known {
		fmt.Fprintf(w, `<form method="post" action="/login?id=%s"><input name="username"><input name="password" type="password"></form>`, url.QueryEscape(id))
		return
	}
	p.storage.loggedIn(id)
	http.Redirect(w, r, callback(r.Context(), id), http.StatusFound)
}

// Rotate makes it sign with a new key. Those before stay published.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.storage.sign(key)
}

// Register makes a resource what programs get tokens for when they name none.
func (p *Provider) Register(resource string) { p.storage.register(resource) }

// Deny makes a scope one that nobody gets, whoever asks.
func (p *Provider) Deny(scope string) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.denied = scope
}

// Token returns a token of the program worker for a resource.
func (p *Provider) Token(t testing.TB, resource string, scopes ...string) string {
	t.Helper()
	c := clientcredentials.Config{
		ClientID: Worker, ClientSecret: Secret, TokenURL: p.URL + "/oauth/token", Scopes: scopes,
		EndpointParams: url.Values{"resource": {resource}}, AuthStyle: oauth2.AuthStyleInParams,
	}
	token, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

// Withdraw publishes no key any more but the one it signs with.
func (p *Provider) Withdraw() { p.storage.withdraw() }

// Down makes it answer nothing but 503, or ends that.
func (p *Provider) Down(on bool) { p.down.Store(on) }

// Fetches is how often its keys were asked for.
func (p *Provider) Fetches() int64 { return p.fetches.Load() }
