package guard

import (
	"time"
)

// Peer is the client's end of the connection, as far as the host's transport
// verified it. It never comes from a header.
type Peer struct {
	Verified bool   // it showed a certificate that an authority of the listener signed
	Name     string // URI of the certificate, such as a SPIFFE id, else its subject
	Digest   string // SHA-256 of the certificate, in hex
}

// Principal is who is calling: human, agent and workload in one. The zero
// Principal is the anonymous one of the listener; nothing that the client
// merely claims is ever in here. It is shared between exchanges, so nobody
// changes its slices.
type Principal struct {
	Subject  string    // verified human or service subject, unique within Issuer
	Issuer   string    // who vouches for Subject
	Agent    string    // acting agent: the first of Actors, or what a claim names
	Actors   []string  // delegation chain, nearest first (RFC 8693, 4.1)
	Client   string    // OAuth client
	Tenant   string    // as the issuer's configuration maps it
	Project  string    // of the tenant, likewise; empty for none
	Roles    []string  // sorted
	Scopes   []string  // sorted
	Task     string    // task the token was issued for; empty for none
	TaskType string    // kind of that task
	Peer     string    // verified transport identity, such as a SPIFFE id
	Strength string    // authentication context (OIDC acr); empty when unknown
	AuthTime time.Time // when the human authenticated; zero when unknown
	Issued   time.Time // when the token was; zero when it does not say
	Expires  time.Time // of the token; zero for none
	TokenID  string    // jti, for revocation
}

// IsAnonymous reports whether nobody was verified.
func (p *Principal) IsAnonymous() bool { return p.Subject == "" && p.Client == "" && p.Peer == "" }
