package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	own "github.com/sallyport/sallyport/guard/identity"
)

// Options say what callers must show.
type Options struct {
	own.Config
	Token       bool // a bearer token
	Certificate bool // a client certificate that the transport verified
	// TrustDomains, where there are any, are those that the SPIFFE id of a
	// certificate must be of.
	TrustDomains []string
	Workloads    *Workloads    // nil: JWT-SVIDs are no tokens
	Lifetime     time.Duration // the most that a token may live; 0 sets no bound
	// Revoked says why somebody is accepted no longer, or returns ""; an error
	// means that nobody knows. It is asked for each request, about remembered
	// tokens too. Nil: nobody is revoked.
	Revoked func(*guard.Principal) (why string, err error)
	// Secret resolves references to secrets; needed for introspection.
	Secret func(reference string) (string, error)
	Once   Once         // remembers DPoP proofs for all replicas; nil: this process does for itself
	Keys   *Pool        // of issuers, and proofs that this process remembers; nil begins with none
	Client *http.Client // for issuers; it must not follow redirects to other origins
	Now    func() time.Time
}

// Authenticator implements the guard's port.
type Authenticator struct {
	o         Options
	issuers   map[string]*issuer
	now       func() time.Time
	skew      time.Duration
	lifetime  time.Duration
	cacheTime time.Duration
	cache     cache
	svids     *svids // nil: none are accepted
	proofs    *proofs
}

// New returns an Authenticator. It makes no request: issuers may come up later.
func New(o Options) (*Authenticator, error) {
	if o.Client == nil {
		o.Client = httpClient()
	}
	if o.Keys == nil {
		o.Keys = new(Pool)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case !o.Token && !o.Certificate:
		return nil, errors.New("identity: neither tokens nor certificates are asked for")
	case o.Token && len(o.Issuers) == 0 && o.Workloads == nil:
		return nil, errors.New("issuers: are needed, because gateway.authentication.method demands a JWT")
	case o.Token && o.PublicURL == "":
		return nil, errors.New("public_url: is needed, because a token is made for one server and names it by its URL")
	case !o.Token && len(o.Issuers) > 0:
		return nil, errors.New("issuers: are of no use, because gateway.authentication.method demands no JWT")
	}
	a := &Authenticator{
		o: o, issuers: make(map[string]*issuer), now: o.Now,
		skew: o.ClockSkew, lifetime: o.Lifetime, cacheTime: o.TokenCache, proofs: &o.Keys.proofs,
	}
	if o.Workloads != nil {
		a.svids = newSVIDs(o.Workloads)
	}
	for _, settings := range o.Issuers {
		i := newIssuer(settings, o.Keys.keys(&settings, o.Client, o.Now), o.Now)
		if n := settings.Introspection; n.URL != "" {
			secret, err := o.Secret(n.ClientSecret)
			if err != nil {
				return nil, fmt.Errorf("issuers: %s: introspection: client_secret: %w", settings.URL, err)
			}
			i.introspection = newIntrospection(n, secret, o.Client, o.Now)
		}
		a.issuers[settings.URL] = i
	}
	return a, nil
}

// httpClient returns an HTTP client for issuers: bounded in time, and without
// redirects, which would let one host speak for another.
func httpClient() *http.Client {
	return &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Authenticate finds out who makes a request.
func (a *Authenticator) Authenticate(x *guard.Exchange) (own.Answer, error) {
	if a.o.Certificate && !x.Peer.Verified {
		return own.Answer{Detail: "no verified client certificate"}, nil
	}
	if x.Peer.Verified && len(a.o.TrustDomains) > 0 && !isWorkload(x.Peer.Name, a.o.TrustDomains) {
		return own.Answer{Detail: "the certificate names no workload of a trust domain that is believed"}, nil
	}
	if !a.o.Token {
		return a.accept(x, nil, &guard.Principal{Peer: x.Peer.Name})
	}
	token, dpop, why := shown(x)
	if token == "" {
		return a.refuse(x, nil, why), nil
	}
	sum := digest(sha256.Sum256([]byte(token)))
	c := credential{token, sum, dpop}
	if v := a.remembered(sum); v != nil {
		if v.refusal != "" {
			return a.refuse(x, v.issuer, v.refusal), nil
		}
		return a.admit(x, v, c)
	}
	o, err := read(token)
	if err != nil {
		// A JWT that is for something else stays one, whatever its issuer says.
		if i := a.opaque(token); i != nil && errors.Is(err, errNoJWT) {
			return a.inquire(x, i, c), nil
		}
		return a.refuse(x, nil, err.Error()), nil
	}
	i := a.issuers[o.issuer]
	if i == nil && a.svids.takes(o) {
		return a.authenticateSVID(x, o, c)
	}
	if i == nil {
		return a.refuse(x, nil, "the token is of an issuer that is not configured"), nil
	}
	if !i.keys.has(o.keyID) {
		return a.later(x, i, c, func(ctx context.Context) error { return i.keys.learn(ctx, o.keyID) }), nil
	}
	v, err := a.verify(i, token)
	if err != nil {
		if strings.Contains(err.Error(), errSignature.Error()) && i.keys.due() {
			return a.later(x, i, c, i.keys.refresh), nil // an issuer may use a key id again
		}
		return a.refuse(x, i, err.Error()), nil
	}
	a.cache.put(sum, v)
	return a.admit(x, v, c)
}

// credential is the token that a request shows.
type credential struct {
	token string
	sum   digest
	dpop  bool // it came with the DPoP scheme
}

// remembered returns what a token proved, while its key is still its issuer's.
func (a *Authenticator) remembered(sum digest) *verified {
	if a.cacheTime <= 0 {
		return nil
	}
	v := a.cache.get(sum, a.now())
	if v == nil || !a.standing(v) {
		return nil // keys were fetched since: look whether this one is still among them
	}
	return v
}

// later judges a token after fetching its issuer's keys.
func (a *Authenticator) later(x *guard.Exchange, i *issuer, c credential, fetch func(context.Context) error) own.Answer {
	return own.Answer{Pending: func(ctx context.Context) (own.Answer, error) {
		switch err := fetch(ctx); {
		case errors.Is(err, errNoKey):
			return a.refuse(x, i, err.Error()), nil
		case err != nil:
			return own.Answer{}, err // not their fault: no challenge, which would have them ask for another token
		}
		v, err := a.verify(i, c.token)
		if err != nil {
			return a.refuse(x, i, err.Error()), nil
		}
		a.cache.put(c.sum, v)
		return finish(ctx)(a.admit(x, v, c))
	}}
}

// finish waits for what is left of an answer within a search that waits already.
func finish(ctx context.Context) func(own.Answer, error) (own.Answer, error) {
	return func(answer own.Answer, err error) (own.Answer, error) {
		if err == nil && answer.Pending != nil {
			return answer.Pending(ctx)
		}
		return answer, err
	}
}

// admit checks what depends on the request: for whom the token was made, and on
// whose connection it came.
func (a *Authenticator) admit(x *guard.Exchange, v *verified, c credential) (own.Answer, error) {
	resource := a.resource(x.Server.Name)
	if !slices.ContainsFunc(v.audiences, func(s string) bool {
		return s == resource || slices.Contains(v.issuer.settings.Audiences, s)
	}) {
		return a.refuse(x, v.issuer, "the token was made for another audience"), nil
	}
	if v.certDigest != "" && (!x.Peer.Verified || x.Peer.Digest != v.certDigest) {
		return a.refuse(x, v.issuer, "the token is bound to another certificate than the connection's"), nil
	}
	if v.svidKeys != nil && x.Peer.Verified && x.Peer.Name != v.principal.Peer {
		return a.refuse(x, v.issuer, "the JWT-SVID is of another workload than the connection's certificate"), nil
	}
	proof, why := a.possession(x, v, c)
	if why != "" {
		return a.refuseProof(x, v.issuer, why), nil
	}
	p := &v.principal
	if x.Peer.Verified {
		of := v.principal
		of.Peer = x.Peer.Name
		p = &of
	}
	answer, err := a.accept(x, v.issuer, p)
	if proof == nil || err != nil || answer.Principal == nil {
		return answer, err
	}
	return a.once(x, v, proof, answer)
}

// accept takes p for the caller, unless p was revoked.
func (a *Authenticator) accept(x *guard.Exchange, i *issuer, p *guard.Principal) (own.Answer, error) {
	if a.o.Revoked == nil {
		return own.Answer{Principal: p}, nil
	}
	why, err := a.o.Revoked(p)
	switch {
	case err != nil:
		return own.Answer{}, err
	case why == "":
		return own.Answer{Principal: p}, nil
	}
	answer := own.Answer{Detail: why}
	if i != nil {
		answer = a.refuse(x, i, why)
	}
	answer.Reason = guard.IdentityRevoked
	return answer, nil
}

// soon is how long after its headers a message's caller is not looked at again: a
// revocation may take as long to reach this replica.
const soon = time.Second

// Reconsider looks whether the caller's token has expired, or the caller was revoked,
// while the body was on its way.
func (a *Authenticator) Reconsider(x *guard.Exchange) (own.Answer, error) {
	p, now := &x.Principal, a.now()
	if now.Sub(x.Started) < soon {
		return own.Answer{Principal: p}, nil
	}
	i := a.issuers[p.Issuer]
	if !p.Expires.IsZero() && !now.Before(p.Expires) {
		return a.refuse(x, i, "the token expired before the message was there"), nil
	}
	return a.accept(x, i, p)
}

// shown returns the token of the Authorization header (RFC 6750, 2.1; RFC 9449,
// 7.1), and whether its scheme is DPoP.
func shown(x *guard.Exchange) (token string, dpop bool, why string) {
	if x.Headers == nil {
		return "", false, "no headers"
	}
	value, n := x.Headers.Get("authorization")
	switch {
	case n == 0:
		return "", false, ""
	case n > 1:
		return "", false, "several authorization headers"
	}
	scheme, token, _ := strings.Cut(value, " ")
	dpop = strings.EqualFold(scheme, "dpop")
	if token = strings.Trim(token, " "); !dpop && !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", false, "the authorization header holds no bearer token"
	}
	return token, dpop, ""
}
