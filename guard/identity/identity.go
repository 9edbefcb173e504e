// Package identity establishes who is calling, before a body is read and
// before any other guard is asked.
package identity

import (
	"cmp"
	"context"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Reasons of this guard.
const (
	Unauthenticated guard.Reason = "unauthenticated"
)

// Authenticator finds out who makes a request, from its headers and its
// connection alone: nothing that the client merely says of itself counts. It is
// called concurrently, once per request. An error means that it could not find
// out; whoever shows nothing, or something wrong, gets an Answer.
type Authenticator interface {
	Authenticate(x *guard.Exchange) (Answer, error)
}

// WellKnown is where the metadata of a protected resource is found, before its
// own path (RFC 9728, 3.1): challenges name it, and hosts serve it.
const WellKnown = "/.well-known/oauth-protected-resource"

// Answer is what an Authenticator found.
type Answer struct {
	Principal *guard.Principal // who it is; nil refuses
	Reason    guard.Reason     // with a refusal: Unauthenticated when empty
	Challenge string           // with a refusal: the WWW-Authenticate header, empty for none
	Detail    string           // with a refusal: why, for operators; never the credential

	// Pending, when set, is the rest of the search, which may leave the
	// process; everything else in the answer is ignored.
	Pending func(ctx context.Context) (Answer, error)
}

// Source makes the Authenticator of a configuration, or nil where callers need
// not say who they are: everybody is the anonymous principal then.
type Source func(Config) (Authenticator, error)

// Spec presents the guard to the chain.
func Spec(source Source) guard.Spec {
	s := guard.Define("identity", "Establishes who is calling, from a verified token or certificate.", DefaultConfig(), func(c Config) (guard.Guard, error) {
		if err := c.Validate(); err != nil || source == nil {
			return nil, err
		}
		a, err := source(c)
		if err != nil || a == nil {
			return nil, err
		}
		return &identity{a}, nil
	}).WithReasons(
		guard.ReasonInfo{Reason: Unauthenticated, Status: 401, Code: guard.CodeUnauthenticated, Text: "Authentication is required: the request carries no credential that is valid for this server.",
			When: "No token or certificate, or one that is expired, forged, or made for another server. The receipt's detail says which; the client gets a WWW-Authenticate challenge."},
	)
	s.Required = true
	return s
}

type identity struct{ who Authenticator }

// Admit decides from the headers.
func (g *identity) Admit(_ context.Context, x *guard.Exchange) (guard.Verdict, error) {
	a, err := g.who.Authenticate(x)
	if err != nil {
		return guard.Verdict{}, err
	}
	return verdict(a), nil
}

func verdict(a Answer) guard.Verdict {
	switch {
	case a.Pending != nil:
		return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
			later, err := a.Pending(ctx)
			if err != nil {
				return guard.Verdict{}, err
			}
			return verdict(later), nil
		}}
	case a.Principal == nil:
		v := guard.Refuse(cmp.Or(a.Reason, Unauthenticated), a.Detail)
		if a.Challenge != "" {
			v.Obligations = []guard.Obligation{{Kind: guard.Challenge, Value: a.Challenge}}
		}
		return v
	}
	return guard.Verdict{Action: guard.Allow, Principal: a.Principal}
}

// Inspect has nothing to add: who is calling was settled with the headers.
func (g *identity) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	return guard.Pass(), nil
}
