// Package identity tests who is calling with real tokens, clients and Envoy.
package identity

import (
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// startIssuer starts one whose tokens say more than who it is.
func startIssuer(t testing.TB) *testenv.Issuer {
	t.Helper()
	i := testenv.StartIssuer(t)
	i.Claims = map[string]any{"tenant": "acme", "act": map[string]any{"sub": "agent-7"}, "scope": "mcp"}
	return i
}
