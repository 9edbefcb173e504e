package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/identity"
)

func TestAVerifiedTokenSaysWhoWithWhomAndForWhat(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	now := time.Now()
	answer, left, err := ask(t, a, asking("crm", p.token(t, "k1", "at+jwt", p.good(now))))
	if err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	if !left {
		t.Error("keys were known before they were fetched")
	}
	got := *answer.Principal
	if got.Subject != "ana" || got.Issuer != p.URL || got.Tenant != "acme" || got.Project != "research" || got.Client != "desk" || got.Agent != "agent-7" ||
		!slices.Equal(got.Actors, []string{"agent-7", "planner"}) || !slices.Equal(got.Roles, []string{"reader", "support"}) ||
		!slices.Equal(got.Scopes, []string{"crm.read", "crm.write"}) || got.Task != "T-1" || got.Strength != "mfa" || got.TokenID != "t1" ||
		got.AuthTime.Unix() != now.Unix() || got.Expires.Unix() != now.Add(10*time.Minute).Unix() {
		t.Errorf("%+v", got)
	}
	other := p.good(now)
	other["sub"] = "bo"
	if answer, left, err = ask(t, a, asking("crm", p.token(t, "k1", "", other))); err != nil || answer.Principal == nil || left {
		t.Errorf("a second token, of a key that is known: %+v, left the process: %t, %v", answer, left, err)
	}
}

func TestForgedAndConfusedTokensAreRefused(t *testing.T) {
	p, stranger := newProvider(t), newProvider(t)
	now := time.Now()
	edit := func(change func(c map[string]any)) map[string]any {
		c := maps.Clone(p.good(now))
		change(c)
		return c
	}
	set := func(name string, value any) string {
		return p.token(t, "k1", "", edit(func(c map[string]any) { c[name] = value }))
	}
	without := func(name string) string {
		return p.token(t, "k1", "", edit(func(c map[string]any) { delete(c, name) }))
	}
	mallory, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(p.key("k1").Public())
	if err != nil {
		t.Fatal(err)
	}
	good := p.token(t, "k1", "", p.good(now))
	parts := strings.Split(good, ".")
	enc := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		name, token, why string
	}{
		{"no signature at all (alg none)", enc([]byte(`{"alg":"none","kid":"k1"}`)) + "." + parts[1] + ".", "malformed"},
		{"HMAC with the public key as its secret", sign(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "k1", "", p.good(now)), ""},
		{"another key under the issuer's key id", sign(t, jose.ES256, mallory, "k1", "", p.good(now)), "signature"},
		{"a key id of nobody", sign(t, jose.ES256, mallory, "k9", "", p.good(now)), ""},
		{"claims changed after signing", parts[0] + "." + enc([]byte(`{"iss":"`+p.URL+`","sub":"root","aud":"`+public+`/mcp/crm","exp":99999999999}`)) + "." + parts[2], "signature"},
		{"made for another server", set("aud", public+"/mcp/data"), "audience"},
		{"made for a server whose name begins alike", set("aud", public+"/mcp/crm2"), "audience"},
		{"made for nobody in particular", without("aud"), "audience"},
		{"an issuer that is not configured", stranger.token(t, "k1", "", stranger.good(now)), "issuer"},
		{"a configured issuer's name over another's signature", sign(t, jose.ES256, stranger.key("k1"), "k1", "", p.good(now)), "signature"},
		{"expired a second ago", set("exp", now.Add(-time.Second).Unix()), "expired"},
		{"no expiry", without("exp"), "no expiry"},
		{"an expiry that is text", set("exp", "99999999999"), ""},
		{"not good before next hour", set("nbf", now.Add(time.Hour).Unix()), "not good yet"},
		{"issued tomorrow", set("iat", now.Add(24*time.Hour).Unix()), "future"},
		{"nobody's", without("sub"), "no sub"},
		{"a subject with a line break, for receipts and headers", set("sub", "ana\nroot"), "control"},
		{"a subject without end", set("sub", strings.Repeat("a", 600)), "too long"},
		{"a delegation chain without end", set("act", chain(20)), "actors"},
		{"bound to a DPoP key, which nobody checked", set("cnf", map[string]any{"jkt": "x"}), "bound"},
		{"bound to a certificate, on a connection without one", set("cnf", map[string]any{"x5t#S256": enc(make([]byte, 32))}), "another certificate"},
		{"a DPoP proof", p.token(t, "k1", "dpop+jwt", p.good(now)), "type"},
		{"an ID-JAG", p.token(t, "k1", "oauth-id-jag+jwt", p.good(now)), "type"},
		{"a logout token", p.token(t, "k1", "logout+jwt", p.good(now)), "type"},
		{"oversized", good + strings.Repeat("A", 17<<10), "16 KiB"},
		{"not a JWT", "abc", "no signed JWT"},
		{"an opaque token with dots", "a.b.c", "no signed JWT"},
		{"a fourth part", good + ".x", "no signed JWT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := authenticator(t, nil, p) // none of them may profit from what another proved
			if answer, _, err := ask(t, a, asking("crm", good)); err != nil || answer.Principal == nil {
				t.Fatalf("the good token: %+v %v", answer, err)
			}
			answer, _, err := ask(t, a, asking("crm", c.token))
			refused(t, answer, err, c.why)
			if !strings.Contains(answer.Challenge, `error="invalid_token"`) || !strings.Contains(answer.Challenge, `resource_metadata="`+public+`/.well-known/oauth-protected-resource/mcp/crm"`) {
				t.Errorf("the challenge is %s", answer.Challenge)
			}
			if c.why != "" && strings.Contains(answer.Challenge, c.why+" ") {
				t.Errorf("the challenge tells why: %s", answer.Challenge)
			}
		})
	}
}

func chain(n int) map[string]any {
	act := map[string]any{"sub": "last"}
	for range n {
		act = map[string]any{"sub": "next", "act": act}
	}
	return act
}

func TestOnlyOneBearerTokenInOneHeaderCounts(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	good := p.token(t, "k1", "", p.good(time.Now()))
	for name, x := range map[string]*guard.Exchange{
		"no header":        asking("crm"),
		"two headers":      asking("crm", good, good),
		"another scheme":   {Server: guard.Server{Name: "crm"}, Headers: headers{"authorization": {"Basic " + good}}},
		"no scheme":        {Server: guard.Server{Name: "crm"}, Headers: headers{"authorization": {good}}},
		"an empty token":   {Server: guard.Server{Name: "crm"}, Headers: headers{"authorization": {"Bearer "}}},
		"no headers":       {Server: guard.Server{Name: "crm"}},
		"another header":   {Server: guard.Server{Name: "crm"}, Headers: headers{"x-authorization": {"Bearer " + good}}},
		"two in one value": {Server: guard.Server{Name: "crm"}, Headers: headers{"authorization": {"Bearer " + good + ", Bearer " + good}}},
	} {
		answer, _, err := ask(t, a, x)
		refused(t, answer, err, "")
		if has := strings.Contains(answer.Challenge, "error="); has == (name == "no header" || name == "another header") {
			t.Errorf("%s: the challenge is %s", name, answer.Challenge)
		}
	}
	lower := &guard.Exchange{Server: guard.Server{Name: "crm"}, Headers: headers{"authorization": {"bearer " + good}}}
	if answer, _, err := ask(t, a, lower); err != nil || answer.Principal == nil {
		t.Errorf("a scheme in lower case: %+v %v", answer, err)
	}
}

func TestATokenBoundToACertificateIsGoodOnItsConnectionOnly(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	sum := make([]byte, 32)
	sum[0] = 0xab
	c := p.good(time.Now())
	c["cnf"] = map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum)}
	token := p.token(t, "k1", "", c)
	own := asking("crm", token)
	own.Peer = guard.Peer{Verified: true, Name: "spiffe://a/b", Digest: "ab" + strings.Repeat("00", 31)}
	if answer, _, err := ask(t, a, own); err != nil || answer.Principal == nil || answer.Principal.Peer != "spiffe://a/b" {
		t.Fatalf("on its own connection: %+v %v", answer, err)
	}
	for name, peer := range map[string]guard.Peer{
		"none":              {},
		"another":           {Verified: true, Digest: strings.Repeat("cd", 32)},
		"its, but unproven": {Digest: "ab" + strings.Repeat("00", 31)},
	} {
		x := asking("crm", token)
		x.Peer = peer
		answer, _, err := ask(t, a, x)
		t.Log(name)
		refused(t, answer, err, "another certificate")
	}
}

func TestALongLivedTokenIsRefusedWhereLifetimesAreLimited(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, func(o *identity.Options) { o.Lifetime = 15 * time.Minute }, p)
	now := time.Now()
	for name, c := range map[string]struct {
		lives time.Duration
		iat   bool
		why   string
	}{
		"as long as allowed": {15 * time.Minute, true, "-"},
		"a second longer":    {15*time.Minute + time.Second, true, "lives for"},
		"without its birth":  {time.Minute, false, "when it was issued"},
	} {
		claims := p.good(now)
		claims["exp"] = now.Unix() + int64(c.lives.Seconds())
		if !c.iat {
			delete(claims, "iat")
		}
		answer, _, err := ask(t, a, asking("crm", p.token(t, "k1", "", claims)))
		if c.why != "-" {
			refused(t, answer, err, c.why)
		} else if err != nil || answer.Principal == nil {
			t.Errorf("%s: %+v %v", name, answer, err)
		}
	}
}
