// Package oauth takes MCP clients that know nothing but a URL through OAuth:
// a real gateway and Envoy in front, the SDKs' own authorization code, and a
// browser with a person before it. What vouches for people is the caller's: the
// provider of package provider, or a Keycloak.
package oauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

// Scopes of the server crm: one to look, one to change.
const (
	Read  = "crm.read"
	Write = "crm.write"
)

// organisation is whom the policy of the gateway lets do what: support may use
// all of crm, each tool with its scope, and wipe after a fresh login only.
const organisation = `{
  "roles": {"support": {"clearance": "internal", "servers": {"crm": [{"tools": ["*"]}], "data": [{"tools": ["*"]}]}}},
  "tools": {"crm": {"look": {"scopes": ["crm.read"]}, "change": {"scopes": ["crm.write"]}, "wipe": {"sensitive": true, "max_age": 1, "scopes": ["crm.read"]}}},
  "servers": {},
  "settings": {
    "freeze": false, "ranks": {"public": 0, "internal": 1}, "unclassified": "internal", "sensitive_max_age": 300,
    "client_requests": [], "scope_mapping": {}, "hints": {}
  }
}`

// Address returns a free address: the gateway's URL must be known before it
// starts, since tokens name it.
func Address(t testing.TB) string {
	t.Helper()
	return testenv.FreeAddress(t)
}

// Gateway runs a gateway at an address, in front of two MCP servers: crm and
// data, each with the tools look, change and wipe. identity is the rest of its
// configuration, up to and including guards.identity; the policy is added.
func Gateway(t testing.TB, address, identity string) *testenv.Gateway {
	t.Helper()
	url := Upstream(t)
	servers := "  - {name: crm, url: " + url + ", data_classification: internal}\n  - {name: data, url: " + url + ", data_classification: internal}\n"
	config := testenv.Config(t, servers, identity+"  policy: {bundle: "+testenv.Bundle(t, organisation)+", signatures: optional, hide: false}\n")
	for old, text := range map[string]string{
		`[{address: "127.0.0.1:0"}]`:     `[{address: "` + address + `"}]`,
		"authentication: {method: none}": "authentication: {method: JWT}",
		"policy_engine: none":            "policy_engine: OPA",
	} {
		config = strings.Replace(config, old, text, 1)
	}
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	return testenv.StartFile(t, path)
}

// Upstream starts the MCP server behind, which fails the test if it is ever
// shown a credential.
func Upstream(t testing.TB) string {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "crm", Version: "1.0.0"}, nil)
	for _, name := range []string{"look", "change", "wipe"} {
		mcp.AddTool(s, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done: " + name}}}, nil, nil
		})
	}
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Dpop") != "" || r.Header.Get("Cookie") != "" {
			t.Error("a credential of the client went upstream")
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h.URL
}
