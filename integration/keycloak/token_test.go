// Package keycloak holds the gateway to a real Keycloak, set up as docs/oidc.md
// tells operators to.
package keycloak

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/integration/oauth"
	"github.com/sallyport/sallyport/integration/testenv"
)

// call calls a tool of a server and returns the status and the answer.
func call(t testing.TB, gateway, server, tool, token string) (int, string, http.Header) {
	t.Helper()
	r := testenv.Post(t, gateway+"/mcp/"+server, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool),
		"Mcp-Protocol-Version", "2025-11-25", "Authorization", "Bearer "+token)
	return r.StatusCode, r.Text, r.Header
}

// person returns the tokens that ana gets by the code flow as the client desk.
func (r realm) person(t testing.TB, scopes ...string) (access, id, refresh string) {
	t.Helper()
	c := oauth2.Config{ClientID: "desk", RedirectURL: oauth.Redirect, Scopes: scopes, Endpoint: oauth2.Endpoint{AuthURL: r.issuer + "/protocol/openid-connect/auth"}}
	verifier := oauth2.GenerateVerifier()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	place, err := oauth.NewBrowser(t, "ana", password).Authorize(ctx, c.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(place)
	if err != nil {
		t.Fatal(err)
	}
	return r.token(t, url.Values{"grant_type": {"authorization_code"}, "client_id": {"desk"}, "redirect_uri": {oauth.Redirect},
		"code": {back.Query().Get("code")}, "code_verifier": {verifier}})
}

func TestTokensOfKeycloakOpenWhatTheyWereMadeFor(t *testing.T) {
	k := start(t)
	address := oauth.Address(t)
	r := k.realm(t, "acme", "http://"+address)
	g := oauth.Gateway(t, address, issuers("http://"+address, r))
	secret := r.secret(t, "worker")

	program := r.worker(t, secret, oauth.Read)
	access, id, refresh := r.person(t, "openid", oauth.Read)
	for name, token := range map[string]string{"client credentials": program, "authorization code": access} {
		if status, text, _ := call(t, g.MCP, "crm", "look", token); status != http.StatusOK || !strings.Contains(text, "done: look") {
			t.Errorf("%s: %d %s\n%v", name, status, text, part(t, token, 1))
		}
		if status, text, header := call(t, g.MCP, "data", "look", token); status != http.StatusUnauthorized || !strings.Contains(text, "unauthenticated") || !strings.Contains(header.Get("Www-Authenticate"), "invalid_token") {
			t.Errorf("%s at another server: %d %s", name, status, text)
		}
		if status, text, header := call(t, g.MCP, "crm", "change", token); status != http.StatusForbidden || !strings.Contains(text, "insufficient_scope") || !strings.Contains(header.Get("Www-Authenticate"), oauth.Write) {
			t.Errorf("%s, a tool that needs another scope: %d %s", name, status, text)
		}
	}
	seen := oauth.Receipts(t, g, `"subject":"ana"`)
	for _, want := range []string{`"subject":"service-account-worker"`, `"client":"worker"`, `"client":"desk"`, `"tenant":"acme"`} {
		if !strings.Contains(seen, want) {
			t.Errorf("no receipt has %s:\n%s", want, seen)
		}
	}

	parts := strings.Split(program, ".")
	other := strings.Split(access, ".")
	for name, token := range map[string]string{
		"an ID token": id, "a refresh token": refresh,
		"one person's claims under another's signature": strings.Join([]string{parts[0], other[1], parts[2]}, "."),
		"no signature (alg none)":                       base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + other[1] + ".",
		"HMAC with the realm's public key":              r.hmac(t, access),
		"oversized":                                     access + strings.Repeat("A", 17<<10),
		"a token without its scope's audience":          r.worker(t, secret, ""),
	} {
		if status, text, _ := call(t, g.MCP, "crm", "look", token); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}

	r.admin(t, http.MethodPut, "", map[string]any{"accessTokenLifespan": 1200}, nil)
	if status, text, _ := call(t, g.MCP, "crm", "look", r.worker(t, secret, oauth.Read)); status != http.StatusUnauthorized {
		t.Errorf("a token for 20 minutes where 15 is the limit: %d %s", status, text)
	}
	r.admin(t, http.MethodPut, "", map[string]any{"accessTokenLifespan": 1}, nil)
	short := r.worker(t, secret, oauth.Read)
	expires, _ := part(t, short, 1)["exp"].(float64)
	time.Sleep(time.Until(time.Unix(int64(expires), 0)))
	if status, text, _ := call(t, g.MCP, "crm", "look", short); status != http.StatusUnauthorized {
		t.Errorf("expired: %d %s", status, text)
	}
}

// hmac returns a token with the claims of another, signed as if the realm's
// public key, which everybody can read, were a secret.
func (r realm) hmac(t testing.TB, token string) string {
	t.Helper()
	var about struct {
		PublicKey string `json:"public_key"`
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := do(req, &about); err != nil {
		t.Fatal(err)
	}
	kid, _ := part(t, token, 0)["kid"].(string)
	secret := "-----BEGIN PUBLIC KEY-----\n" + about.PublicKey + "\n-----END PUBLIC KEY-----\n"
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	return testenv.Sign(t, signer, part(t, token, 1))
}

func TestAnAgentThatExchangesATokenActsForItsSubject(t *testing.T) {
	k := start(t)
	address := oauth.Address(t)
	r := k.realm(t, "exchange", "http://"+address)
	g := oauth.Gateway(t, address, issuers("http://"+address, r))
	exchange := func(subject string) (string, error) {
		var token struct {
			Access string `json:"access_token"`
		}
		err := form(t, r.issuer+"/protocol/openid-connect/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"agent-7"}, "client_secret": {r.secret(t, "agent-7")},
			"subject_token": {subject}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "scope": {oauth.Read},
		}, &token)
		return token.Access, err
	}
	delegated, _, _ := r.person(t, oauth.Read, "agent-7")
	token, err := exchange(delegated)
	if err != nil {
		t.Fatal(err)
	}
	if status, text, _ := call(t, g.MCP, "crm", "look", token); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	seen := oauth.Receipts(t, g, `"agent":"agent-7"`)
	if !strings.Contains(seen, `"subject":"ana"`) || !strings.Contains(seen, `"client":"agent-7"`) {
		t.Errorf("receipts do not say for whom:\n%s", seen)
	}
	if mine, _, _ := r.person(t, oauth.Read); mine != "" {
		if _, err := exchange(mine); err == nil {
			t.Error("a token that was not given to the agent was exchanged")
		}
	}
}

// Two realms are two issuers, though they are of one server, have the same keys'
// algorithm, and each an ana.
func TestARealmVouchesForItsOwnPeopleOnly(t *testing.T) {
	k := start(t)
	address, narrow := oauth.Address(t), oauth.Address(t)
	acme, globex := k.realm(t, "acme", "http://"+address), k.realm(t, "globex", "http://"+address)
	g := oauth.Gateway(t, address, issuers("http://"+address, acme, globex))
	one := oauth.Gateway(t, narrow, issuers("http://"+address, acme)) // the same resource, as on another replica
	ours, _, _ := acme.person(t, oauth.Read)
	theirs, _, _ := globex.person(t, oauth.Read)
	if a, b := part(t, ours, 1), part(t, theirs, 1); a["preferred_username"] != b["preferred_username"] || a["iss"] == b["iss"] {
		t.Fatalf("%v %v", a, b)
	}
	for _, token := range []string{ours, theirs} {
		if status, text, _ := call(t, g.MCP, "crm", "look", token); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
	}
	for r, want := range map[realm]string{acme: `"tenant":"acme"`, globex: `"tenant":"globex"`} {
		for line := range strings.Lines(oauth.Receipts(t, g, want)) {
			if strings.Contains(line, r.issuer) && !strings.Contains(line, want) {
				t.Errorf("%s is not %s: %s", r.issuer, want, line)
			}
		}
	}
	if status, text, _ := call(t, one.MCP, "crm", "look", ours); status != http.StatusOK {
		t.Errorf("the realm that is configured: %d %s", status, text)
	}
	if status, text, _ := call(t, one.MCP, "crm", "look", theirs); status != http.StatusUnauthorized {
		t.Errorf("a realm that is not configured: %d %s", status, text)
	}

	// A token of globex that says it is of acme.
	parts := strings.Split(theirs, ".")
	claims := part(t, theirs, 1)
	claims["iss"] = acme.issuer
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	lying := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text) + "." + parts[2]
	for _, gateway := range []*testenv.Gateway{g, one} {
		if status, text, _ := call(t, gateway.MCP, "crm", "look", lying); status != http.StatusUnauthorized {
			t.Errorf("%d %s", status, text)
		}
	}
}
