// Package issuer is the OpenID provider of the bench: its callers' tokens, and the
// keys by which the gateway verifies them.
package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer serves metadata and keys on a loopback address.
type Issuer struct {
	URL string

	key    *ecdsa.PrivateKey
	server *http.Server
}

// Start starts an issuer; Close ends it.
func Start() (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &Issuer{URL: "http://" + ln.Addr().String(), key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "bench", Algorithm: "ES256", Use: "sig"}}})
	})
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = i.server.Serve(ln) }() // ends when it is closed
	return i, nil
}

// Close ends the issuer.
func (i *Issuer) Close() { _ = i.server.Close() }

// Token returns a token for an hour with these claims beside those about issuer,
// client and time.
func (i *Issuer) Token(claims map[string]any) (string, error) {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithHeader("kid", "bench").WithType("at+jwt"))
	if err != nil {
		return "", err
	}
	now := time.Now()
	all := map[string]any{"iss": i.URL, "client_id": "bench", "iat": now.Unix() - 1, "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	body, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	signed, err := s.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
