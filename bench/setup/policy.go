package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/policies"
)

// roles let the bench's caller use the echo server, by the default rules.
const roles = `{"bench": {"clearance": "internal", "servers": {"echo": [{"tools": ["echo*", "stream"]}]}}}`

// policy is the gateway with a token to be verified and a policy to be asked for
// each call: the default bundle, with a role of the bench.
func (r *Rig) policy(ctx context.Context, s *Setup, server string) error {
	issuer, token, err := r.issuer()
	if err != nil {
		return err
	}
	bundle := filepath.Join(r.o.Dir, s.Name+".bundle")
	if err := os.CopyFS(bundle, policies.Default()); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bundle, "org", "roles", "data.json"), []byte(roles), 0o600); err != nil {
		return err
	}
	ttl := ""
	if s.Name == Policy {
		ttl = ", decision_cache_ttl: 5m"
	}
	guards := only("identity", "policy") + "  identity: {public_url: \"http://127.0.0.1\", issuers: [{url: \"" + issuer + "\", audiences: [bench]}]}\n" +
		"  policy: {bundle: " + bundle + ", signatures: optional}\n"
	if err := r.governed(ctx, s, server, "  authentication: {method: JWT}\n  authorization: {policy_engine: OPA"+ttl+"}\n", guards); err != nil {
		return err
	}
	s.Headers = []string{"Authorization: Bearer " + token}
	return nil
}

// issuer serves the keys of a provider, and returns its URL and a token of it.
func (r *Rig) issuer() (url, token string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	url = "http://" + ln.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": url, "jwks_uri": url + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.Serve(ln) }() // it ends when the rig closes
	r.stops = append(r.stops, func() { _ = s.Close() })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1").WithType("at+jwt"))
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": url, "sub": "bench", "aud": "bench", "client_id": "bench", "roles": []string{"bench"},
		"iat": now.Add(-time.Second).Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return "", "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", "", err
	}
	token, err = signed.CompactSerialize()
	return url, token, err
}
