package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/guard"
	own "github.com/sallyport/sallyport/guard/identity"
	"github.com/sallyport/sallyport/internal/identity"
)

// provider is an OpenID provider as far as keys go.
type provider struct {
	*httptest.Server
	down     atomic.Bool
	requests atomic.Int64 // for keys

	mu   sync.Mutex
	keys map[string]*ecdsa.PrivateKey
}

func newProvider(t testing.TB) *provider {
	p := &provider{keys: make(map[string]*ecdsa.PrivateKey)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		p.requests.Add(1)
		_ = json.NewEncoder(w).Encode(p.public())
	})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	p.rotate(t, "k1")
	return p
}

func (p *provider) public() jose.JSONWebKeySet {
	p.mu.Lock()
	defer p.mu.Unlock()
	var set jose.JSONWebKeySet
	for id, key := range p.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"})
	}
	return set
}

// rotate makes id the only key.
func (p *provider) rotate(t testing.TB, id string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = map[string]*ecdsa.PrivateKey{id: key}
}

func (p *provider) key(id string) *ecdsa.PrivateKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[id]
}

// token signs claims with the key id; typ may be empty.
func (p *provider) token(t testing.TB, id, typ string, claims map[string]any) string {
	t.Helper()
	return sign(t, jose.ES256, p.key(id), id, typ, claims)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, id, typ string, claims map[string]any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", id)
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const public = "https://mcp.example.com"

// good are the claims of a token that is good for the server crm.
func (p *provider) good(now time.Time) map[string]any {
	return map[string]any{
		"iss": p.URL, "sub": "ana", "aud": []string{public + "/mcp/crm"}, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"tenant": "acme", "project": "research", "roles": []string{"support", "reader"}, "scope": "crm.write crm.read", "client_id": "desk", "jti": "t1",
		"act": map[string]any{"sub": "agent-7", "act": map[string]any{"sub": "planner"}}, "task": "T-1", "acr": "mfa", "auth_time": now.Unix(),
	}
}

// clock can be moved.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) move(d time.Duration) { c.ahead.Add(int64(d)) }

func (p *provider) settings() own.Issuer {
	i := own.Issuer{URL: p.URL}
	i.Default()
	return i
}

func authenticator(t testing.TB, change func(*identity.Options), providers ...*provider) *identity.Authenticator {
	t.Helper()
	o := identity.Options{Config: own.Default(), Token: true}
	o.PublicURL = public
	for _, p := range providers {
		o.Issuers = append(o.Issuers, p.settings())
	}
	if change != nil {
		change(&o)
	}
	a, err := identity.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type headers map[string][]string

func (h headers) Get(name string) (string, int) {
	if v := h[name]; len(v) > 0 {
		return v[0], len(v)
	}
	return "", 0
}

// Each implements guard.Headers.
func (h headers) Each(visit func(name string, value []byte)) {
	for name, lines := range h {
		for _, v := range lines {
			visit(strings.ToLower(name), []byte(v))
		}
	}
}

func asking(server string, tokens ...string) *guard.Exchange {
	h := headers{}
	for _, t := range tokens {
		h["authorization"] = append(h["authorization"], "Bearer "+t)
	}
	return &guard.Exchange{Server: guard.Server{Name: server}, Headers: h}
}

// ask authenticates to the end, and reports whether that left the process.
func ask(t testing.TB, a *identity.Authenticator, x *guard.Exchange) (answer own.Answer, left bool, err error) {
	t.Helper()
	answer, err = a.Authenticate(x)
	if err == nil && answer.Pending != nil {
		left = true
		answer, err = answer.Pending(t.Context())
	}
	return answer, left, err
}

func refused(t testing.TB, a own.Answer, err error, why string) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("could not decide: %v", err)
	case a.Principal != nil:
		t.Errorf("it is %+v", *a.Principal)
	case !strings.Contains(a.Detail, why):
		t.Errorf("refused because %q, want %q", a.Detail, why)
	}
}

var _ crypto.Signer = (*ecdsa.PrivateKey)(nil)
