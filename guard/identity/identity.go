// Package identity establishes who is calling, before a body is read and
// before any other guard is asked.
package identity

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

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

	// Reconsider finds out whether the caller that was let in is that still, now
	// that a message of the exchange has come whole, which may be a minute later.
	// It never leaves the process.
	Reconsider(x *guard.Exchange) (Answer, error)
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

// Fresh says which requests need a fresh authentication of the person behind
// them.
type Fresh uint8

// The zero Fresh asks for none.
const (
	Never     Fresh = iota
	Sensitive       // calls of tools that the registry calls sensitive
	Always          // every request
)

// Port is what the guard needs from outside the process.
type Port struct {
	Source Source // nil: callers need not say who they are
	Fresh  Fresh
}

// Spec presents the guard to the chain.
func Spec(p Port) guard.Spec {
	s := guard.Define("identity", "Establishes who is calling, from a verified token or certificate.", Default(), func(c Config) (guard.Guard, error) {
		if err := c.Validate(); err != nil || p.Source == nil {
			return nil, err
		}
		a, err := p.Source(c)
		if err != nil || a == nil {
			return nil, err
		}
		return &identity{who: a, fresh: p.Fresh, reauth: c.Reauth}, nil
	}, guard.Want{Method: "*", Direction: mcp.ToServer}).WithReasons(
		guard.ReasonInfo{Reason: Unauthenticated, Status: 401, Code: guard.CodeUnauthenticated, Text: "Authentication is required: the request carries no credential that is valid for this server.",
			When: "No token or certificate, or one that is expired, forged, or made for another server. The receipt's detail says which; the client gets a WWW-Authenticate challenge."},
	)
	s.Required = true
	return s
}

type identity struct {
	who    Authenticator
	fresh  Fresh
	reauth Reauth
}

// Admit decides from the headers.
func (g *identity) Admit(_ context.Context, x *guard.Exchange) (guard.Verdict, error) {
	a, err := g.who.Authenticate(x)
	if err != nil {
		return guard.Verdict{}, err
	}
	return g.verdict(x, a), nil
}

func (g *identity) verdict(x *guard.Exchange, a Answer) guard.Verdict {
	switch {
	case a.Pending != nil:
		return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
			later, err := a.Pending(ctx)
			if err != nil {
				return guard.Verdict{}, err
			}
			return g.verdict(x, later), nil
		}}
	case a.Principal == nil:
		return refusal(&a)
	}
	if g.fresh == Always {
		if why := g.reauth.stale(x, a.Principal); why != "" {
			return g.reauth.refuse(why)
		}
	}
	return guard.Verdict{Action: guard.Allow, Principal: a.Principal}
}

func refusal(a *Answer) guard.Verdict {
	v := guard.Refuse(cmp.Or(a.Reason, Unauthenticated), a.Detail)
	if a.Challenge != "" {
		v.Obligations = []guard.Obligation{{Kind: guard.Challenge, Value: a.Challenge}}
	}
	return v
}

// Inspect asks for a fresh authentication where the message turns out to call
// something sensitive. Who is calling was settled with the headers, and is looked at
// again: whoever is about to be revoked could send headers ahead, and bodies later.
func (g *identity) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	switch a, err := g.who.Reconsider(x); {
	case err != nil:
		return guard.Verdict{}, err
	case a.Principal == nil:
		return refusal(&a), nil
	}
	if g.fresh != Sensitive || m.Method != "tools/call" {
		return guard.Pass(), nil
	}
	if tool, _ := x.Server.Tool(m.Name); !tool.Sensitive {
		return guard.Pass(), nil
	}
	if why := g.reauth.stale(x, &x.Principal); why != "" {
		return g.reauth.refuse(m.Name + " is sensitive: " + why), nil
	}
	return guard.Pass(), nil
}

// stale says why an authentication does not count as fresh, or returns "".
func (r *Reauth) stale(x *guard.Exchange, p *guard.Principal) string {
	switch age := x.Started.Sub(p.AuthTime); {
	case p.AuthTime.IsZero() || x.Started.IsZero():
		return "nobody knows when the caller authenticated"
	case age > r.MaxAge:
		return "the caller authenticated " + age.Round(time.Second).String() + " ago"
	case len(r.ACR) > 0 && !slices.Contains(r.ACR, p.Strength):
		return "the caller authenticated in a way that is too weak"
	}
	return ""
}

// refuse asks for a step-up (RFC 9470, 3).
func (r *Reauth) refuse(why string) guard.Verdict {
	v := guard.Refuse(guard.ReauthenticationRequired, why)
	c := `Bearer error="insufficient_user_authentication", error_description="A more recent or stronger authentication is required", max_age="` +
		strconv.FormatInt(int64(r.MaxAge/time.Second), 10) + `"`
	if len(r.ACR) > 0 {
		c += `, acr_values="` + strings.Join(r.ACR, " ") + `"`
	}
	v.Obligations = []guard.Obligation{{Kind: guard.Challenge, Value: c}}
	return v
}
