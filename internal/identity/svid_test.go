package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/identity"
)

const robot = "spiffe://company.example/ns/sales/robot"

// domains are trust domains that issue JWT-SVIDs.
type domains struct {
	keys map[string]*ecdsa.PrivateKey
	set  atomic.Pointer[jwtbundle.Set]
}

// newDomains makes a key for each trust domain, under the key id k1.
func newDomains(t testing.TB, names ...string) *domains {
	t.Helper()
	d := &domains{keys: make(map[string]*ecdsa.PrivateKey)}
	set := jwtbundle.NewSet()
	for _, name := range names {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		d.keys[name] = key
		set.Add(jwtbundle.FromJWTAuthorities(spiffeid.RequireTrustDomainFromString(name), map[string]crypto.PublicKey{"k1": key.Public()}))
	}
	d.set.Store(set)
	return d
}

// svid returns a JWT-SVID of company.example for the robot at crm; edit may
// change its claims.
func (d *domains) svid(t testing.TB, edit func(c map[string]any)) string {
	t.Helper()
	return sign(t, jose.ES256, d.keys["company.example"], "k1", "", claimsOf(edit))
}

func claimsOf(edit func(c map[string]any)) map[string]any {
	now := time.Now()
	c := map[string]any{"sub": robot, "aud": []string{public + "/mcp/crm"}, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	if edit != nil {
		edit(c)
	}
	return c
}

func (d *domains) accepted(o *identity.Options) {
	o.TrustDomains = []string{"company.example", "partner.example"}
	o.Workloads = &identity.Workloads{Keys: d.set.Load, Audiences: []string{"gateway"}, Tenant: "machines"}
}

func TestAJWTSVIDSaysWhichWorkloadCalls(t *testing.T) {
	d := newDomains(t, "company.example", "partner.example")
	a := authenticator(t, d.accepted)
	partner := claimsOf(func(c map[string]any) { c["sub"] = "spiffe://partner.example/desk" })
	for name, tt := range map[string]struct{ token, peer string }{
		"for this server":           {d.svid(t, nil), robot},
		"for every server":          {d.svid(t, func(c map[string]any) { c["aud"] = "gateway" }), robot},
		"for several":               {d.svid(t, func(c map[string]any) { c["aud"] = []string{"x", public + "/mcp/crm"} }), robot},
		"of a federated domain":     {sign(t, jose.ES256, d.keys["partner.example"], "k1", "JWT", partner), "spiffe://partner.example/desk"},
		"that says JOSE":            {sign(t, jose.ES256, d.keys["company.example"], "k1", "JOSE", claimsOf(nil)), robot},
		"with an issuer of its own": {d.svid(t, func(c map[string]any) { c["iss"] = "https://spire.company.example" }), robot},
	} {
		for range 2 { // the second time from memory
			answer, left, err := ask(t, a, asking("crm", tt.token))
			if err != nil || answer.Principal == nil || left {
				t.Errorf("%s: %+v %v", name, answer, err)
				continue
			}
			if p := answer.Principal; p.Peer != tt.peer || p.Subject != "" || p.Tenant != "machines" || p.Expires.IsZero() || p.IsAnonymous() {
				t.Errorf("%s: %+v", name, p)
			}
		}
	}
	x := asking("crm", d.svid(t, nil))
	x.Peer = guard.Peer{Verified: true, Name: robot}
	if answer, _, err := ask(t, a, x); err != nil || answer.Principal == nil {
		t.Errorf("on its own connection: %+v %v", answer, err)
	}
}

func TestForgedAndConfusedJWTSVIDsAreRefused(t *testing.T) {
	d, p := newDomains(t, "company.example", "partner.example", "stranger.example"), newProvider(t)
	a := authenticator(t, d.accepted, p)
	ours, theirs := d.keys["company.example"], d.keys["partner.example"]
	set := func(name string, value any) string { return d.svid(t, func(c map[string]any) { c[name] = value }) }
	without := func(name string) string { return d.svid(t, func(c map[string]any) { delete(c, name) }) }
	parts := strings.Split(d.svid(t, nil), ".")
	enc := base64.RawURLEncoding.EncodeToString
	stranger := claimsOf(func(c map[string]any) { c["sub"] = "spiffe://stranger.example/robot" })
	unknown := claimsOf(func(c map[string]any) { c["sub"] = "spiffe://nobody.example/robot" })
	byProvider := maps.Clone(p.good(time.Now()))
	byProvider["sub"] = robot
	delete(byProvider, "iss")
	for _, tt := range []struct{ name, token, why string }{
		{"for another server", set("aud", public+"/mcp/data"), "audience"},
		{"for nobody", without("aud"), "audience"},
		{"for what begins like this server", set("aud", public+"/mcp/crm2"), "audience"},
		{"of a domain that is known and not believed", sign(t, jose.ES256, d.keys["stranger.example"], "k1", "", stranger), "trust domain"},
		{"of a domain that is unknown", sign(t, jose.ES256, ours, "k1", "", unknown), "trust domain"},
		{"of a partner that calls itself ours", sign(t, jose.ES256, theirs, "k1", "", claimsOf(nil)), "signature"},
		{"expired a second ago", set("exp", time.Now().Unix()-1), "expired"},
		{"that never expires", without("exp"), "expiry"},
		{"of the future", set("nbf", time.Now().Add(time.Hour).Unix()), "not good yet"},
		{"without a subject", without("sub"), "issuer"},
		{"of a whole trust domain", set("sub", "spiffe://company.example"), "no workload"},
		{"of a path that leads elsewhere", set("sub", "spiffe://company.example/a/../gateway"), "no workload"},
		{"of an id that another reader may take for ours", set("sub", "spiffe://company.example@partner.example/x"), "no workload"},
		{"of a scheme in capitals", set("sub", "SPIFFE://company.example/x"), "issuer"},
		{"of a key id of nobody", sign(t, jose.ES256, ours, "k9", "", claimsOf(nil)), "key"},
		{"without a key id", sign(t, jose.ES256, ours, "", "", claimsOf(nil)), "key"},
		{"of an algorithm that is not allowed", sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), "k1", "", claimsOf(nil)), "not allowed"},
		{"without a signature", enc([]byte(`{"alg":"none","kid":"k1"}`)) + "." + parts[1] + ".", "not allowed"},
		{"changed after signing", parts[0] + "." + enc([]byte(`{"sub":"spiffe://company.example/root","aud":"gateway","exp":99999999999}`)) + "." + parts[2], "signature"},
		{"of another type of token", sign(t, jose.ES256, ours, "k1", "at+jwt", claimsOf(nil)), "type"},
		{"of an OpenID provider without its name", p.token(t, "k1", "", byProvider), ""},
		{"bound to something unknown", set("cnf", map[string]any{"jkt": "x"}), "bound"},
		{"with a very long id", set("sub", robot+strings.Repeat("/x", 300)), "long"},
	} {
		answer, _, err := ask(t, a, asking("crm", tt.token))
		if err != nil || answer.Principal != nil || !strings.Contains(answer.Detail, tt.why) || !strings.Contains(answer.Challenge, "invalid_token") {
			t.Errorf("%s: %+v %v, want %q", tt.name, answer, err, tt.why)
		}
	}
	x := asking("crm", d.svid(t, nil))
	x.Peer = guard.Peer{Verified: true, Name: "spiffe://company.example/thief"}
	if answer, _, err := ask(t, a, x); err != nil || answer.Principal != nil {
		t.Errorf("on the connection of another workload: %+v %v", answer, err)
	}
	if answer, _, err := ask(t, authenticator(t, nil, p), asking("crm", d.svid(t, nil))); err != nil || answer.Principal != nil {
		t.Errorf("where none are accepted: %+v %v", answer, err)
	}
}

// A configured issuer's word about a spiffe:// subject is its own, never a
// workload's.
func TestAnIssuerCannotSpeakForWorkloads(t *testing.T) {
	d, p := newDomains(t, "company.example"), newProvider(t)
	c := p.good(time.Now())
	c["sub"] = robot
	answer, _, err := ask(t, authenticator(t, d.accepted, p), asking("crm", p.token(t, "k1", "", c)))
	if err != nil || answer.Principal == nil || answer.Principal.Peer != "" || answer.Principal.Issuer != p.URL {
		t.Errorf("%+v %v", answer.Principal, err)
	}
}

func TestWithdrawnKeysEndJWTSVIDsAtOnce(t *testing.T) {
	d := newDomains(t, "company.example")
	a, token := authenticator(t, d.accepted), d.svid(t, nil)
	if answer, _, err := ask(t, a, asking("crm", token)); err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	next := newDomains(t, "company.example")
	d.set.Store(next.set.Load())
	if answer, _, err := ask(t, a, asking("crm", token)); err != nil || answer.Principal != nil {
		t.Errorf("by a key that is gone: %+v %v", answer, err)
	}
	if answer, _, err := ask(t, a, asking("crm", next.svid(t, nil))); err != nil || answer.Principal == nil {
		t.Errorf("by the new key: %+v %v", answer, err)
	}
	d.set.Store(nil)
	if answer, _, err := ask(t, a, asking("crm", next.svid(t, nil))); err != nil || answer.Principal != nil {
		t.Errorf("without any keys: %+v %v", answer, err)
	}
}

func BenchmarkJWTSVID(b *testing.B) {
	d := newDomains(b, "company.example")
	token := d.svid(b, nil)
	for name, forget := range map[string]bool{"remembered": false, "verified": true} {
		b.Run(name, func(b *testing.B) {
			a := authenticator(b, func(o *identity.Options) {
				d.accepted(o)
				if forget {
					o.TokenCache = 0
				}
			})
			x := asking("crm", token)
			b.ReportAllocs()
			for b.Loop() {
				if answer, err := a.Authenticate(x); err != nil || answer.Principal == nil {
					b.Fatal(answer, err)
				}
			}
		})
	}
}
