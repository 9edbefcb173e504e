package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/identity"
)

// holder has the key that a token is bound to.
type holder struct{ key *ecdsa.PrivateKey }

func newHolder(t testing.TB) holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return holder{key}
}

func (h holder) thumb(t testing.TB) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: h.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proof signs claims over those of a good proof; header members may be changed.
func (h holder) proof(t testing.TB, token string, change, header map[string]any) string {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	claims := map[string]any{
		"jti": fmt.Sprint(rand.Text()), "htm": "POST", "htu": public + "/mcp/crm", "iat": time.Now().Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	maps.Copy(claims, change)
	head := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jose.JSONWebKey{Key: h.key.Public()}}
	maps.Copy(head, header)
	enc := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := enc(head) + "." + enc(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, h.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func proving(scheme, token string, proofs ...string) *guard.Exchange {
	return &guard.Exchange{Verb: "POST", Path: "/mcp/crm", Server: guard.Server{Name: "crm"},
		Headers: headers{"authorization": {scheme + " " + token}, "dpop": proofs}}
}

func accepting(mode string) func(o *identity.Options) {
	return func(o *identity.Options) {
		for i := range o.Issuers {
			o.Issuers[i].DPoP = mode
		}
	}
}

func TestAProofOfPossessionIsForOneRequestOfItsHolder(t *testing.T) {
	p, owner, thief := newProvider(t), newHolder(t), newHolder(t)
	claims := p.good(time.Now())
	free := p.token(t, "k1", "", claims)
	claims["cnf"] = map[string]any{"jkt": owner.thumb(t)}
	bound := p.token(t, "k1", "at+jwt", claims)
	claims["jti"] = "another"
	other := p.token(t, "k1", "at+jwt", claims)
	private := jose.JSONWebKey{Key: owner.key}
	good := func() string { return owner.proof(t, bound, nil, nil) }
	with := func(name string, value any) string { return owner.proof(t, bound, map[string]any{name: value}, nil) }
	head := func(name string, value any) string { return owner.proof(t, bound, nil, map[string]any{name: value}) }
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for _, c := range []struct {
		name, mode string
		x          *guard.Exchange
		why        string // empty: it is good
	}{
		{"a good proof", "accept", proving("DPoP", bound, good()), ""},
		{"a good proof where only those are accepted", "require", proving("DPoP", bound, good()), ""},
		{"the URL with a query and in other letters", "accept", proving("dpop", bound, with("htu", "HTTPS://MCP.example.com:443/mcp/crm?x=1")), ""},
		{"a bearer token beside", "accept", proving("Bearer", free), ""},
		{"a bearer token where only proofs are accepted", "require", proving("Bearer", free), "bound to no key"},
		{"dpop is off", "off", proving("DPoP", bound, good()), "dpop is off"},
		{"a bound token as a bearer token", "accept", proving("Bearer", bound), "as a bearer token"},
		{"a bound token as a bearer token, with a proof", "accept", proving("Bearer", bound, good()), "as a bearer token"},
		{"an unbound token with a thief's proof", "accept", proving("DPoP", free, thief.proof(t, free, nil, nil)), "bound to no key"},
		{"no proof", "accept", proving("DPoP", bound), "no DPoP proof"},
		{"two proofs", "accept", proving("DPoP", bound, good(), good()), "several"},
		{"a thief's key", "accept", proving("DPoP", bound, thief.proof(t, bound, nil, nil)), "another key"},
		{"the owner's key over a thief's signature", "accept", proving("DPoP", bound, thief.proof(t, bound, nil, map[string]any{"jwk": jose.JSONWebKey{Key: owner.key.Public()}})), "signature"},
		{"the private key in it", "accept", proving("DPoP", bound, head("jwk", private)), "DPoP proof"},
		{"no key in it", "accept", proving("DPoP", bound, head("jwk", nil)), ""},
		{"alg none", "accept", proving("DPoP", bound, head("alg", "none")), "algorithm"},
		{"HMAC", "accept", proving("DPoP", bound, head("alg", "HS256")), "algorithm"},
		{"an access token as the proof", "accept", proving("DPoP", bound, bound), ""},
		{"another type", "accept", proving("DPoP", bound, head("typ", "jwt")), "type"},
		{"for another method", "accept", proving("DPoP", bound, with("htm", "GET")), "method"},
		{"for another server", "accept", proving("DPoP", bound, with("htu", public+"/mcp/data")), "another URL"},
		{"for another host", "accept", proving("DPoP", bound, with("htu", "https://evil.example/mcp/crm")), "another URL"},
		{"for a host with our name before an @", "accept", proving("DPoP", bound, with("htu", "https://mcp.example.com@evil.example/mcp/crm")), "another URL"},
		{"over plain HTTP", "accept", proving("DPoP", bound, with("htu", "http://mcp.example.com/mcp/crm")), "another URL"},
		{"for another token", "accept", proving("DPoP", other, owner.proof(t, bound, nil, nil)), "another token"},
		{"for no token", "accept", proving("DPoP", bound, with("ath", nil)), "another token"},
		{"too old", "accept", proving("DPoP", bound, with("iat", ago(90*time.Second))), "too old"},
		{"from the future", "accept", proving("DPoP", bound, with("iat", ago(-time.Minute))), "future"},
		{"from nowhen", "accept", proving("DPoP", bound, with("iat", nil)), "when"},
		{"without an id", "accept", proving("DPoP", bound, with("jti", "")), "jti"},
		{"with an id without end", "accept", proving("DPoP", bound, with("jti", strings.Repeat("x", 600))), "jti"},
		{"oversized", "accept", proving("DPoP", bound, with("x", strings.Repeat("x", 9000))), "8 KiB"},
		{"no JWT", "accept", proving("DPoP", bound, "abc"), "no JWT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := authenticator(t, accepting(c.mode), p)
			answer, _, err := ask(t, a, c.x)
			if c.why == "" && err == nil && answer.Principal != nil {
				if c.name == "no key in it" || strings.Contains(c.name, "as the proof") {
					t.Fatal("it is good")
				}
				return
			}
			refused(t, answer, err, c.why)
			bearer, dpop := strings.Contains(answer.Challenge, "Bearer "), strings.Contains(answer.Challenge, `DPoP algs="ES256 `)
			if bearer == (c.mode == "require") || dpop == (c.mode == "off") || !strings.Contains(answer.Challenge, "resource_metadata=") {
				t.Errorf("the challenge is %s", answer.Challenge)
			}
		})
	}
}

func TestAProofIsGoodOnce(t *testing.T) {
	p, owner, c := newProvider(t), newHolder(t), &clock{}
	claims := p.good(time.Now())
	claims["cnf"] = map[string]any{"jkt": owner.thumb(t)}
	token := p.token(t, "k1", "", claims)
	pool := new(identity.Pool)
	local := func(o *identity.Options) { accepting("require")(o); o.Keys, o.Now = pool, c.now }
	a := authenticator(t, local, p)
	proof := owner.proof(t, token, nil, nil)
	use := func(a *identity.Authenticator, proof, why string) {
		t.Helper()
		answer, _, err := ask(t, a, proving("DPoP", token, proof))
		if why != "" {
			refused(t, answer, err, why)
			if !strings.Contains(answer.Challenge, `error="invalid_dpop_proof"`) {
				t.Errorf("the challenge is %s", answer.Challenge)
			}
		} else if err != nil || answer.Principal == nil {
			t.Errorf("%+v %v", answer, err)
		}
	}
	use(a, proof, "")
	use(a, proof, "used before")
	use(authenticator(t, local, p), proof, "used before") // after a reload
	c.move(59 * time.Second)
	use(a, proof, "used before")
	c.move(time.Minute)
	use(a, proof, "too old")

	seen := map[[32]byte]bool{}
	var away error
	shared := func(o *identity.Options) {
		accepting("accept")(o)
		o.Once = func(_ context.Context, id [32]byte, ttl time.Duration) (bool, error) {
			if ttl <= 0 || ttl > 2*time.Minute {
				t.Errorf("remembered for %v", ttl)
			}
			first := !seen[id]
			seen[id] = true
			return first, away
		}
	}
	one, two := authenticator(t, shared, p), authenticator(t, shared, p)
	proof = owner.proof(t, token, nil, nil)
	use(one, proof, "")
	use(two, proof, "used before")
	away = errors.New("redis is away")
	if answer, _, err := ask(t, one, proving("DPoP", token, owner.proof(t, token, nil, nil))); err == nil || answer.Principal != nil {
		t.Errorf("served although nobody knows whether the proof was used: %+v", answer)
	}
}

func TestTheMetadataSaysHowTokensAreBound(t *testing.T) {
	p := newProvider(t)
	for mode, want := range map[string][2]bool{"off": {false, false}, "accept": {true, false}, "require": {true, true}} {
		text := string(authenticator(t, accepting(mode), p).Metadata("crm"))
		if got := [2]bool{strings.Contains(text, `"dpop_signing_alg_values_supported":["ES256"`), strings.Contains(text, `"dpop_bound_access_tokens_required":true`)}; got != want {
			t.Errorf("%s: %s", mode, text)
		}
	}
}

func BenchmarkAProofOfPossession(b *testing.B) {
	p, owner := newProvider(b), newHolder(b)
	claims := p.good(time.Now().Add(time.Second))
	claims["cnf"] = map[string]any{"jkt": owner.thumb(b)}
	token := p.token(b, "k1", "", claims)
	a := authenticator(b, accepting("accept"), p)
	proofs := make([]*guard.Exchange, 2000)
	for i := range proofs {
		proofs[i] = proving("DPoP", token, owner.proof(b, token, nil, nil))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if answer, _, err := ask(b, a, proofs[i%len(proofs)]); err != nil || answer.Principal == nil && i < len(proofs) {
			b.Fatal(answer, err)
		}
		i++
	}
}
