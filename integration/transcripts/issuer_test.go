package transcripts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// audience is of a token that is good for the server of the transcripts.
const audience = "https://mcp.example.com/mcp/one"

// issuer is an OpenID provider as far as metadata, keys and tokens go.
type issuer struct {
	url     string
	key     *ecdsa.PrivateKey
	forgers *ecdsa.PrivateKey // somebody else's, under the same key id
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	p := &issuer{key: newKey(t), forgers: newKey(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.url, "jwks_uri": p.url + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fill writes tokens where a request names them.
func (p *issuer) fill(t *testing.T, value string) string {
	t.Helper()
	for name, mint := range map[string]func() string{
		"$GOOD":         func() string { return p.token(t, p.key, p.url, audience, time.Hour) },
		"$EXPIRED":      func() string { return p.token(t, p.key, p.url, audience, -time.Hour) },
		"$OTHER_SERVER": func() string { return p.token(t, p.key, p.url, audience+"s", time.Hour) },
		"$FORGED":       func() string { return p.token(t, p.forgers, p.url, audience, time.Hour) },
		"$SHORT_LIVED":  func() string { return p.token(t, p.key, p.url, audience, 3*time.Second) },
		"$EVERLASTING":  func() string { return p.token(t, p.key, p.url, audience, 100*365*24*time.Hour) },
		"$ORPHAN":       func() string { return p.token(t, p.key, "http://127.0.0.1:9", audience, time.Hour) }, // of an issuer that is down
	} {
		if strings.Contains(value, name) {
			value = strings.ReplaceAll(value, name, mint())
		}
	}
	return value
}

func (p *issuer) token(t *testing.T, key *ecdsa.PrivateKey, by, audience string, lives time.Duration) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1").WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	body, err := json.Marshal(map[string]any{
		"iss": by, "sub": "ana", "aud": audience, "iat": now.Add(min(0, lives)).Unix() - 1, "exp": now.Add(lives).Unix() + 1, "client_id": "desk",
	})
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
