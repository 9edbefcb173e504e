package identity

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/guard"
	own "github.com/sallyport/sallyport/guard/identity"
)

// Once is what remembers proofs: it reports whether id is seen for the first
// time, and keeps it for ttl. An error means that nobody knows.
type Once func(ctx context.Context, id [32]byte, ttl time.Duration) (first bool, err error)

// proofAlgorithms are those that a DPoP proof may be signed with.
var proofAlgorithms = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256}

const (
	maxProof = 8 << 10     // bytes
	proofAge = time.Minute // how long a proof is good
	maxRSA   = 4096        // bits; verifying with more is slow
)

// Values of the DPoP setting.
const (
	dpopAccept  = "accept"
	dpopRequire = "require"
)

// proof is a proof of possession that came with a request.
type proof struct {
	id   digest        // of its key and jti
	left time.Duration // how long it has to be remembered
}

// prove checks the proof that a token's key was at hand for this very request
// (RFC 9449, 4.3). The signature comes last, since the rest costs less.
func (a *Authenticator) prove(x *guard.Exchange, v *verified, token digest) (p proof, why string) {
	text, n := x.Headers.Get("dpop")
	switch {
	case n == 0:
		return p, "there is no DPoP proof"
	case n > 1:
		return p, "there are several DPoP proofs"
	case len(text) > maxProof:
		return p, "the DPoP proof is longer than 8 KiB"
	}
	jws, err := jose.ParseSignedCompact(text, proofAlgorithms)
	if err != nil {
		return p, "the DPoP proof is no JWT that is signed with an algorithm which is allowed"
	}
	h := jws.Signatures[0].Protected
	key := h.JSONWebKey
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	switch {
	case !strings.EqualFold(typ, "dpop+jwt"):
		return p, "the DPoP proof is of another type than dpop+jwt"
	case key == nil || !key.IsPublic() || !key.Valid():
		return p, "the DPoP proof holds no public key"
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && (k.N.BitLen() < 2048 || k.N.BitLen() > maxRSA) {
		return p, "the DPoP proof's key has an odd size"
	}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil || encoding.EncodeToString(thumb) != v.keyDigest {
		return p, "the DPoP proof is signed with another key than the token's"
	}
	var c struct {
		ID     string      `json:"jti"`
		Verb   string      `json:"htm"`
		URL    string      `json:"htu"`
		Issued json.Number `json:"iat"`
		Token  string      `json:"ath"`
	}
	if json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c) != nil {
		return p, "the DPoP proof's claims cannot be read"
	}
	now := a.now()
	issued, err := claims{"iat": c.Issued}.date("iat")
	switch age := now.Sub(issued); {
	case c.ID == "" || len(c.ID) > maxText:
		return p, "the DPoP proof has no jti, or one that is too long"
	case c.Verb != x.Verb:
		return p, "the DPoP proof is for another HTTP method"
	case !a.addressed(x, c.URL):
		return p, "the DPoP proof is for another URL"
	case err != nil:
		return p, "the DPoP proof does not say when it was made"
	case age > proofAge+a.skew || -age > a.skew:
		return p, "the DPoP proof is too old, or from the future"
	case c.Token != encoding.EncodeToString(token[:]):
		return p, "the DPoP proof is for another token"
	}
	if _, err := jws.Verify(key.Key); err != nil {
		return p, "the DPoP proof's signature is wrong"
	}
	p.id = sha256.Sum256([]byte(v.keyDigest + "." + c.ID))
	p.left = issued.Add(proofAge+a.skew).Sub(now) + time.Second
	return p, ""
}

// addressed reports whether a proof's URL is that of the request, as its client
// knows it: without query and fragment (RFC 9449, 4.3).
func (a *Authenticator) addressed(x *guard.Exchange, htu string) bool {
	got, ok := plainURL(htu)
	if !ok {
		return false
	}
	for _, one := range [...]string{a.o.PublicURL + x.Path, a.resource(x.Server.Name)} {
		if want, ok := plainURL(one); ok && got == want {
			return true
		}
	}
	return false
}

func plainURL(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host + u.EscapedPath(), true
}

// possession checks how a token is bound to a key of its holder, and how it came.
// proof is nil where there is none to be remembered.
func (a *Authenticator) possession(x *guard.Exchange, v *verified, c credential) (p *proof, why string) {
	mode := v.issuer.settings.DPoP
	switch {
	case v.keyDigest == "" && c.dpop:
		return nil, "a token that is bound to no key came with the DPoP scheme"
	case v.keyDigest == "" && mode == dpopRequire:
		return nil, "the token is bound to no key, and this issuer's have to be"
	case v.keyDigest == "":
		return nil, ""
	case mode != dpopAccept && mode != dpopRequire:
		return nil, "the token is bound to a key, and dpop is off for its issuer"
	case !c.dpop:
		return nil, "a token that is bound to a key came as a bearer token"
	}
	got, why := a.prove(x, v, c.sum)
	if why != "" {
		return nil, why
	}
	return &got, ""
}

// once lets answer stand if its proof comes for the first time.
func (a *Authenticator) once(x *guard.Exchange, v *verified, p *proof, answer own.Answer) (own.Answer, error) {
	judge := func(first bool, err error) (own.Answer, error) {
		switch {
		case err != nil:
			return own.Answer{}, err
		case !first:
			return a.refuseProof(x, v.issuer, "the DPoP proof was used before"), nil
		}
		return answer, nil
	}
	if a.o.Once == nil {
		return judge(a.proofs.first(p.id, proofAge+2*a.skew, a.now()))
	}
	return own.Answer{Pending: func(ctx context.Context) (own.Answer, error) { return judge(a.o.Once(ctx, p.id, p.left)) }}, nil
}

// proofs remembers proofs where replicas share nothing. It has two generations,
// each as long as a proof can be good.
type proofs struct {
	mu         sync.Mutex
	young, old map[digest]struct{}
	turned     time.Time
}

const maxProofs = 500_000 // of one generation: some 6,000 a second

var errProofs = errors.New("identity: more DPoP proofs came than can be remembered")

func (p *proofs) first(id digest, life time.Duration, now time.Time) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.turned) > life {
		if p.old = p.young; now.Sub(p.turned) > 2*life {
			p.old = nil
		}
		p.young, p.turned = make(map[digest]struct{}), now
	}
	_, young := p.young[id]
	_, old := p.old[id]
	switch {
	case young || old:
		return false, nil
	case len(p.young) >= maxProofs:
		return false, errProofs // a forgotten one could be used again
	}
	p.young[id] = struct{}{}
	return true, nil
}
