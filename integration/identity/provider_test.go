// Package identity tests who is calling with real tokens, clients and Envoy.
package identity

import (
	"maps"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// provider is an issuer whose tokens say more than who it is.
type provider struct {
	*testenv.Issuer
	url string
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	i := testenv.StartIssuer(t)
	return &provider{i, i.URL}
}

// token returns a token for audience that lives for a time.
func (p *provider) token(t testing.TB, audience string, lives time.Duration) string {
	t.Helper()
	return p.tokenWith(t, audience, lives, nil)
}

// tokenWith is token with further claims.
func (p *provider) tokenWith(t testing.TB, audience string, lives time.Duration, more map[string]any) string {
	t.Helper()
	claims := map[string]any{"tenant": "acme", "act": map[string]any{"sub": "agent-7"}, "scope": "mcp"}
	maps.Copy(claims, more)
	return p.Token(t, audience, lives, claims)
}
