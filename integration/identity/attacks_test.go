package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/integration/testenv"
)

var b64 = base64.RawURLEncoding.EncodeToString

// proofOf makes a DPoP proof for one request, over more claims.
func proofOf(t testing.TB, key *ecdsa.PrivateKey, token, url string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt"}})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token))
	return testenv.Sign(t, s, map[string]any{"jti": rand.Text(), "htm": "POST", "htu": url, "iat": time.Now().Unix(), "ath": b64(sum[:])})
}

// Two replicas with one Redis, an issuer whose tokens are bound to keys, and one
// of another tenant whose are not.
func TestForgedConfusedAndStolenCredentialsThroughEnvoy(t *testing.T) {
	p, other, stranger := startIssuer(t), startIssuer(t), startIssuer(t)
	upstream, seen := answering(t)
	r := testenv.StartRedis(t)
	start := func() *testenv.Gateway {
		config := strings.Replace(testenv.Config(t, "  - {name: crm, url: "+upstream+"}\n", ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
		config += fmt.Sprintf("redis: {addresses: [%q], timeout: 1s}\nguards:\n  identity:\n    public_url: %s\n    issuers:\n      - {url: %q, scopes: [mcp], tenant: acme, dpop: accept}\n      - {url: %q, tenant: umbrella}\n", r.Address, public, p.URL, other.URL)
		path := filepath.Join(t.TempDir(), "sallyport.yaml")
		testenv.Write(t, path, config)
		return testenv.StartFile(t, path)
	}
	one, two := start(), start()
	const url, audience = public + "/mcp/crm", public + "/mcp/crm"
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	owner, thief := keys[0], keys[1]
	sum, err := (&jose.JSONWebKey{Key: owner.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	good := p.Token(t, audience, 10*time.Minute, nil)
	bound := p.Token(t, audience, 10*time.Minute, map[string]any{"cnf": map[string]any{"jkt": b64(sum)}})
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(p.Public())
	if err != nil {
		t.Fatal(err)
	}
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := hmac.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	confused, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	used, fresh := proofOf(t, owner, bound, url), func() string { return proofOf(t, owner, bound, url) }
	for _, c := range []struct {
		name   string
		at     *testenv.Gateway
		status int
		why    string // in the receipt
		header []string
	}{
		{"a good token", one, 200, "", []string{"Authorization", "Bearer " + good}},
		{"a bound token with its proof", one, 200, "", []string{"Authorization", "DPoP " + bound, "DPoP", used}},
		{"the same proof again", one, 401, "used before", []string{"Authorization", "DPoP " + bound, "DPoP", used}},
		{"the same proof on another replica", two, 401, "used before", []string{"Authorization", "DPoP " + bound, "DPoP", used}},
		{"another proof there", two, 200, "", []string{"Authorization", "DPoP " + bound, "DPoP", fresh()}},
		{"a bound token as a bearer token", one, 401, "came as a bearer token", []string{"Authorization", "Bearer " + bound, "DPoP", fresh()}},
		{"a bound token with a thief's proof", one, 401, "another key", []string{"Authorization", "DPoP " + bound, "DPoP", proofOf(t, thief, bound, url)}},
		{"a bound token with a proof for another server", one, 401, "another URL", []string{"Authorization", "DPoP " + bound, "DPoP", proofOf(t, owner, bound, public+"/mcp/data")}},
		{"an unbound token with a proof", one, 401, "bound to no key", []string{"Authorization", "DPoP " + good, "DPoP", proofOf(t, owner, good, url)}},
		{"alg none", one, 401, "malformed", []string{"Authorization", "Bearer " + b64([]byte(`{"alg":"none","kid":"k1"}`)) + "." + parts[1] + "."}},
		{"HMAC with the public key", one, 401, "signature", []string{"Authorization", "Bearer " + confused}},
		{"an issuer that is not configured", one, 401, "not configured", []string{"Authorization", "Bearer " + stranger.Token(t, audience, time.Minute, nil)}},
		{"oversized", one, 401, "16 KiB", []string{"Authorization", "Bearer " + good + strings.Repeat("A", 17<<10)}},
		{"expired by a second", one, 401, "expired", []string{"Authorization", "Bearer " + p.Token(t, audience, -2*time.Second, nil)}},
		{"identity headers instead of a token", one, 401, "no token", []string{"X-Forwarded-Client-Cert", "URI=spiffe://a/root", "X-Sallyport-Version", "v1", "X-Sallyport-Principal", "root", "X-Forwarded-User", "root", "X-Auth-Request-User", "root", "X-Remote-User", "root"}},
	} {
		for len(seen) > 0 {
			<-seen
		}
		resp, body, err := do(t.Context(), http.DefaultClient, c.at.MCP+"/mcp/crm", c.header...)
		if err != nil || resp.StatusCode != c.status || (len(seen) > 0) != (c.status == 200) {
			t.Errorf("%s: %v %s, reached the server: %d; %v", c.name, resp, body, len(seen), err)
			continue
		}
		if c.status == 200 {
			if h := <-seen; h.Get("Authorization") != "" || h.Get("DPoP") != "" {
				t.Errorf("%s: the server got %v", c.name, h)
			}
			continue
		}
		challenge := strings.Join(resp.Header.Values("Www-Authenticate"), ", ")
		if !strings.Contains(challenge, `resource_metadata="`+public+`/.well-known/oauth-protected-resource/mcp/crm"`) || !strings.Contains(body, "unauthenticated") ||
			strings.Contains(challenge, "error=") == (c.why == "no token") {
			t.Errorf("%s: challenge %s, body %s", c.name, challenge, body)
		}
		if proof := strings.Contains(strings.Join(c.header, " "), "DPoP"); proof && !strings.Contains(challenge, `DPoP algs="ES256 `) {
			t.Errorf("%s: challenge %s", c.name, challenge)
		}
		c.at.ReceiptsWith(t, c.why)
	}
	// The same subject of another issuer is somebody else, of another tenant.
	if resp, body, err := do(t.Context(), http.DefaultClient, two.MCP+"/mcp/crm", "Authorization", "Bearer "+other.Token(t, audience, time.Minute, map[string]any{"tenant": "acme"})); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(body, err)
	}
	if text := two.ReceiptsWith(t, other.URL); !strings.Contains(text, `"tenant":"umbrella"`) {
		t.Errorf("a token chose its own tenant:\n%s", text)
	}
}
