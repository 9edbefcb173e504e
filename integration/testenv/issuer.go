package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an OpenID provider as far as metadata, keys and tokens go.
type Issuer struct {
	URL    string
	Claims map[string]any // of each token, besides the usual ones

	key, forgers *ecdsa.PrivateKey // forgers is nobody's whose key is published
}

// StartIssuer starts an issuer that ends with the test.
func StartIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{key: NewKey(t), forgers: NewKey(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	i.URL = s.URL
	return i
}

// NewKey returns a key of the kind that issuers and certificates have here.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Token returns a token for audience that expires after lives; more adds to its
// claims, or takes the place of some.
func (i *Issuer) Token(t testing.TB, audience string, lives time.Duration, more map[string]any) string {
	t.Helper()
	return i.sign(t, i.key, audience, lives, more)
}

// Public returns the key that it publishes.
func (i *Issuer) Public() *ecdsa.PublicKey { return &i.key.PublicKey }

// Forge returns a token that somebody else signed, under the same key id.
func (i *Issuer) Forge(t testing.TB, audience string, lives time.Duration) string {
	t.Helper()
	return i.sign(t, i.forgers, audience, lives, nil)
}

func (i *Issuer) sign(t testing.TB, key *ecdsa.PrivateKey, audience string, lives time.Duration, more map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1").WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": i.URL, "sub": "ana", "aud": audience, "client_id": "desk",
		"iat": now.Add(min(0, lives)).Unix() - 1, "exp": now.Add(lives).Unix() + 1,
	}
	maps.Copy(claims, i.Claims)
	maps.Copy(claims, more)
	return Sign(t, s, claims)
}

// Sign returns claims as a compact JWS.
func Sign(t testing.TB, s jose.Signer, claims map[string]any) string {
	t.Helper()
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
