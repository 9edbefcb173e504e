package identity_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An issuer may let people name claims of their own. They must not pass for
// those that it vouches for.
func TestClaimsInAnotherSpellingAreNoClaims(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key("k1")}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	good := p.good(time.Now())
	other := p.good(time.Now())
	other["aud"] = public + "/mcp/data"
	for name, c := range map[string]struct {
		claims map[string]any
		more   string
		why    string
	}{
		"nothing more":           {good, ``, ""},
		"the audience, again":    {other, `,"Aud":"` + public + `/mcp/crm"`, "another audience"},
		"another audience, also": {good, `,"AUD":"` + public + `/mcp/data"`, ""},
	} {
		text, err := json.Marshal(c.claims)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign([]byte(strings.TrimSuffix(string(text), "}") + c.more + "}"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		answer, _, err := ask(t, a, asking("crm", token))
		if c.why != "" {
			refused(t, answer, err, c.why)
		} else if err != nil || answer.Principal == nil {
			t.Errorf("%s: %+v %v", name, answer, err)
		}
	}
}
