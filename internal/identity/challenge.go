package identity

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
	own "github.com/sallyport/sallyport/guard/identity"
)

// resource returns the identifier of a server as a protected resource (RFC 8707):
// its public URL. The empty name is the gateway itself.
func (a *Authenticator) resource(server string) string {
	if server == "" {
		return a.o.PublicURL
	}
	return a.o.PublicURL + "/mcp/" + server
}

// refuse answers with the challenge that tells a client where to get a token.
// An empty why is no token at all, which is no error (RFC 6750, 3.1). The client
// never learns more than that the token is not valid.
func (a *Authenticator) refuse(x *guard.Exchange, i *issuer, why string) own.Answer {
	code := "invalid_token"
	if why == "" {
		code = ""
	}
	c := a.challenge(x, i, code)
	if why == "" {
		why = "no token"
	}
	return own.Answer{Challenge: c, Detail: why}
}

// refuseProof is refuse where the token may be good, and its holder has not
// proved to be its owner.
func (a *Authenticator) refuseProof(x *guard.Exchange, i *issuer, why string) own.Answer {
	return own.Answer{Challenge: a.challenge(x, i, "invalid_dpop_proof"), Detail: why}
}

// challenge has an entry for each scheme that would do.
func (a *Authenticator) challenge(x *guard.Exchange, i *issuer, code string) string {
	var rest string
	if scopes := a.scopes(i); len(scopes) > 0 {
		rest = `scope="` + strings.Join(scopes, " ") + `", `
	}
	rest += `resource_metadata="` + a.metadataURL(x.Server.Name) + `"`
	var out []string
	bearer, dpop := a.schemes(i)
	if bearer {
		e := ""
		if code != "" { // which bearer tokens have one word for
			e = `error="invalid_token", error_description="The token is expired, malformed, or not valid for this server", `
		}
		out = append(out, "Bearer "+e+rest)
	}
	if dpop {
		e := ""
		if code != "" {
			e = `error="` + code + `", `
		}
		out = append(out, dpopScheme+e+rest)
	}
	return strings.Join(out, ", ")
}

// dpopScheme begins the challenges of RFC 9449, 7.1.
const dpopScheme = `DPoP algs="ES256 EdDSA RS256 PS256", `

// schemes says how tokens of an issuer may come, or of any.
func (a *Authenticator) schemes(i *issuer) (bearer, dpop bool) {
	if i != nil {
		return i.settings.DPoP != dpopRequire, i.settings.DPoP == dpopAccept || i.settings.DPoP == dpopRequire
	}
	bearer = a.svids != nil
	for _, one := range a.issuers {
		b, d := a.schemes(one)
		bearer, dpop = bearer || b, dpop || d
	}
	return bearer, dpop
}

// Challenge completes a challenge of another guard.
func (a *Authenticator) Challenge(x *guard.Exchange, challenge string) string {
	if !a.o.Token || strings.Contains(challenge, "resource_metadata=") {
		return challenge
	}
	if bearer, _ := a.schemes(a.issuers[x.Principal.Issuer]); !bearer {
		if rest, ok := strings.CutPrefix(challenge, "Bearer "); ok {
			challenge = dpopScheme + rest
		}
	}
	return challenge + `, resource_metadata="` + a.metadataURL(x.Server.Name) + `"`
}

// metadataURL is where the metadata of a server is: that of its path, so that a
// client of one server never gets a token that is good at another.
func (a *Authenticator) metadataURL(server string) string {
	if server == "" {
		return a.o.PublicURL + own.WellKnown
	}
	return a.o.PublicURL + own.WellKnown + "/mcp/" + server
}

// scopes are what a client should ask for: the issuer's, or everybody's.
func (a *Authenticator) scopes(i *issuer) []string {
	if i != nil {
		return i.settings.Scopes
	}
	var out []string
	for _, one := range a.o.Issuers {
		for _, s := range one.Scopes {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Metadata returns the document that says how to get a token for a server (RFC
// 9728, 2), nil when callers need none.
func (a *Authenticator) Metadata(server string) []byte {
	if !a.o.Token {
		return nil
	}
	m := struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers,omitempty"`
		Scopes               []string `json:"scopes_supported,omitempty"`
		Methods              []string `json:"bearer_methods_supported"`
		BoundToCertificates  bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
		ProofAlgorithms      []string `json:"dpop_signing_alg_values_supported,omitempty"`
		BoundToKeys          bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	}{Resource: a.resource(server), Scopes: a.scopes(nil), Methods: []string{"header"}, BoundToCertificates: a.o.Certificate}
	if bearer, dpop := a.schemes(nil); dpop {
		m.BoundToKeys = !bearer
		for _, alg := range proofAlgorithms {
			m.ProofAlgorithms = append(m.ProofAlgorithms, string(alg))
		}
	}
	for _, i := range a.o.Issuers {
		m.AuthorizationServers = append(m.AuthorizationServers, i.URL)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil // strings always can
	}
	return b
}
