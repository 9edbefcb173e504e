package identity

import (
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/sallyport/sallyport/guard"
	own "github.com/sallyport/sallyport/guard/identity"
)

// Workloads says that JWT-SVIDs are accepted as bearer tokens, and how.
type Workloads struct {
	// Keys returns the keys of trust domains, the same pointer until they
	// change; nil while none are known. It is called for every request.
	Keys       func() *jwtbundle.Set
	Audiences  []string // good for every server, beside each server's own
	Algorithms []string // RS256 and ES256 when there are none
	Tenant     string   // of every workload
}

// svids verifies JWT-SVIDs (SPIFFE JWT-SVID).
type svids struct {
	Workloads
	algorithms []jose.SignatureAlgorithm
	issuer     *issuer // stands for all trust domains where a refusal names one
}

func newSVIDs(w *Workloads) *svids {
	s := &svids{Workloads: *w, issuer: &issuer{settings: own.Issuer{Audiences: w.Audiences}}}
	for _, a := range w.Algorithms {
		s.algorithms = append(s.algorithms, jose.SignatureAlgorithm(a))
	}
	if len(s.algorithms) == 0 {
		s.algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
	}
	return s
}

const schemeSPIFFE = "spiffe://"

// takes reports whether a token is to be verified as a JWT-SVID: one that a
// workload is the subject of, and that no configured issuer vouches for.
func (s *svids) takes(o outline) bool { return s != nil && strings.HasPrefix(o.subject, schemeSPIFFE) }

// authenticateSVID judges a JWT-SVID with the keys that are known.
func (a *Authenticator) authenticateSVID(x *guard.Exchange, o outline, c credential) (own.Answer, error) {
	v, err := a.verifySVID(c.token, o)
	if err != nil {
		return a.refuse(x, a.svids.issuer, err.Error()), nil
	}
	a.cache.put(c.sum, v)
	return a.admit(x, v, c)
}

func (a *Authenticator) verifySVID(token string, o outline) (*verified, error) {
	id, err := spiffeid.FromString(o.subject)
	switch typ := strings.ToLower(o.typ); {
	case err != nil || !isWorkload(o.subject, a.o.TrustDomains):
		return nil, errors.New("the JWT-SVID is of no workload of a trust domain that is believed")
	case typ != "" && typ != "jwt" && typ != "jose":
		return nil, errors.New("a JWT-SVID is of the type JWT or JOSE (JWT-SVID, 2.3)")
	}
	set := a.svids.Keys()
	if set == nil {
		return nil, errors.New("no keys of JWT-SVIDs are known")
	}
	bundle, ok := set.Get(id.TrustDomain())
	if !ok {
		return nil, errors.New("no keys of JWT-SVIDs of its trust domain are known")
	}
	jws, err := jose.ParseSignedCompact(token, a.svids.algorithms)
	if err != nil {
		return nil, errors.New("the JWT-SVID is signed with an algorithm that is not allowed")
	}
	key, ok := bundle.FindJWTAuthority(jws.Signatures[0].Header.KeyID)
	if !ok {
		return nil, errors.New("the JWT-SVID's key is not its trust domain's")
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, errSignature
	}
	var c claims
	if err := (&jsonClaims{&c}).UnmarshalJSON(payload); err != nil || c.text("sub") != o.subject {
		return nil, errors.New("the claims cannot be read")
	}
	v := &verified{issuer: a.svids.issuer, audiences: c.list("aud"), svidKeys: set}
	v.principal = guard.Principal{Peer: o.subject, Tenant: a.svids.Tenant, TokenID: c.text("jti")}
	if len(v.principal.TokenID) > maxText || hasControl(v.principal.TokenID) || len(o.subject) > maxText {
		return nil, errors.New("a claim is too long or holds control characters")
	}
	if err := a.checkTimes(c, &v.principal, a.now()); err != nil {
		return nil, err
	}
	if v.certDigest, v.keyDigest, err = binding(c); err != nil {
		return nil, err
	}
	v.until = v.principal.Expires
	if limit := a.now().Add(a.cacheTime); v.until.After(limit) {
		v.until = limit
	}
	return v, nil
}

// standing reports whether what verified v is still in force.
func (a *Authenticator) standing(v *verified) bool {
	if v.introspected || v.refusal != "" {
		return true // for as long as it is remembered
	}
	if v.svidKeys != nil {
		return v.svidKeys == a.svids.Keys()
	}
	return v.keys == v.issuer.keys.current()
}

// list returns the strings of a list, or the one string.
func (c claims) list(name string) []string {
	switch v := c[name].(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
