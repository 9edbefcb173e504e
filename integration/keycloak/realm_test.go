package keycloak

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// realm is one made from the example that docs/oidc.md shows.
type realm struct {
	*server
	name   string
	issuer string
}

// public is the gateway's URL in the example, to which audiences belong.
const public = "https://mcp.example.com"

// password is that of ana, whom the example leaves without one.
const password = "a password for tests"

// realm imports the example realm under another name, for a gateway at a URL.
func (s *server) realm(t testing.TB, name, gateway string) realm {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Root(), "examples/keycloak/realm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), public, gateway)), &document); err != nil {
		t.Fatal(err)
	}
	document["realm"] = name
	s.admin(t, http.MethodPost, "", document, nil)
	r := realm{s, name, s.url + "/realms/" + name}
	r.admin(t, http.MethodPut, "/users/"+r.user(t, "ana")+"/reset-password", map[string]any{"type": "password", "value": password}, nil)
	t.Cleanup(func() { r.admin(t, http.MethodDelete, "", nil, nil) })
	return r
}

// admin asks the admin API about this realm.
func (r realm) admin(t testing.TB, verb, path string, body, into any) {
	t.Helper()
	r.server.admin(t, verb, "/"+r.name+path, body, into)
}

func (r realm) user(t testing.TB, name string) string {
	t.Helper()
	var found []struct{ ID string }
	r.admin(t, http.MethodGet, "/users?exact=true&username="+name, nil, &found)
	if len(found) != 1 {
		t.Fatalf("%d users %s", len(found), name)
	}
	return found[0].ID
}

// secret returns what Keycloak made up for a client of the example.
func (r realm) secret(t testing.TB, client string) string {
	t.Helper()
	var found []struct{ ID string }
	r.admin(t, http.MethodGet, "/clients?clientId="+client, nil, &found)
	if len(found) != 1 {
		t.Fatalf("%d clients %s", len(found), client)
	}
	var secret struct{ Value string }
	r.admin(t, http.MethodGet, "/clients/"+found[0].ID+"/client-secret", nil, &secret)
	return secret.Value
}

// token returns the tokens that a grant gives.
func (r realm) token(t testing.TB, values url.Values) (access, id, refresh string) {
	t.Helper()
	var tokens struct {
		Access  string `json:"access_token"`
		ID      string `json:"id_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := form(t, r.issuer+"/protocol/openid-connect/token", values, &tokens); err != nil {
		t.Fatal(err)
	}
	return tokens.Access, tokens.ID, tokens.Refresh
}

// worker returns a token of the program "worker".
func (r realm) worker(t testing.TB, secret, scopes string) string {
	t.Helper()
	values := url.Values{"grant_type": {"client_credentials"}, "client_id": {"worker"}, "client_secret": {secret}}
	if scopes != "" {
		values.Set("scope", scopes)
	}
	access, _, _ := r.token(t, values)
	return access
}

// part decodes one part of a token, 0 the header and 1 the claims.
func part(t testing.TB, token string, n int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %s", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// example is what examples/keycloak/sallyport.yaml says of callers, for a gateway
// and a realm.
func example(t testing.TB, gateway string, r realm) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Root(), "examples/keycloak/sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\nidentity_framework:")
	if !found {
		t.Fatal("the example has no identity_framework")
	}
	return "identity_framework:" + strings.NewReplacer(public, gateway, "https://id.example.com/realms/agents", r.issuer).Replace(text)
}

// issuers is the gateway's configuration for realms, each a tenant of its own,
// with names in receipts that read well.
func issuers(gateway string, realms ...realm) string {
	var b strings.Builder
	fmt.Fprintf(&b, "limits: {judge_time: 6s}\nidentity_framework: {token_lifetime: \"5-15 minutes\"}\nguards:\n  identity:\n    timeout: 5s\n    public_url: %s\n    issuers:\n", gateway)
	for _, r := range realms {
		fmt.Fprintf(&b, "      - {url: %q, tenant: %s, scopes: [crm.read], claims: {subject: preferred_username, roles: realm_access.roles, client: azp}}\n", r.issuer, r.name)
	}
	return b.String()
}
