package declare

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
)

// TrustDomain is the name of a SPIFFE trust domain.
type TrustDomain string

const trustDomainPattern = `^[a-z0-9._-]{1,255}$`

var trustDomain = regexp.MustCompile(trustDomainPattern)

// Notation describes names of trust domains.
func (TrustDomain) Notation() notation.Notation {
	return notation.Notation{
		Name: "trust domain", Pattern: trustDomainPattern,
		Allowed: "lower-case letters, digits, dots, hyphens and underscores, without spiffe://", Examples: []string{"company.com"},
	}
}

// UnmarshalText reads a name.
func (d *TrustDomain) UnmarshalText(text []byte) error {
	if !trustDomain.Match(text) {
		return fmt.Errorf("%q is not a trust domain; write %s", clip(string(text)), d.Notation().Allowed)
	}
	*d = TrustDomain(text)
	return nil
}

// MarshalText writes the name.
func (d TrustDomain) MarshalText() ([]byte, error) { return []byte(d), nil }

// SPIFFEID is the id of a workload (SPIFFE-ID, 2).
type SPIFFEID string

const spiffeIDPattern = `^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`

var spiffeID = regexp.MustCompile(spiffeIDPattern)

// Notation describes ids of workloads.
func (SPIFFEID) Notation() notation.Notation {
	return notation.Notation{
		Name: "SPIFFE id", Pattern: spiffeIDPattern,
		Allowed: "spiffe://, a trust domain and a path", Examples: []string{"spiffe://company.com/ns/sales/crm"},
	}
}

// UnmarshalText reads an id.
func (i *SPIFFEID) UnmarshalText(text []byte) error {
	s := string(text)
	bad := !spiffeID.MatchString(s) || len(s) > 2048
	for segment := range strings.SplitSeq(s, "/") {
		bad = bad || segment == "." || segment == ".."
	}
	if bad {
		return fmt.Errorf("%q is not the SPIFFE id of a workload; write %s", clip(s), i.Notation().Allowed)
	}
	*i = SPIFFEID(s)
	return nil
}

// MarshalText writes the id.
func (i SPIFFEID) MarshalText() ([]byte, error) { return []byte(i), nil }

// domain is the trust domain that the id is of.
func (i SPIFFEID) domain() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(string(i), "spiffe://"), "/")
	return name
}

// SPIFFE says which workload a server must be.
type SPIFFE struct {
	ID          SPIFFEID    `yaml:"id" doc:"SPIFFE id that the server's certificate must have"`
	TrustDomain TrustDomain `yaml:"trust_domain" doc:"Trust domain that the server must be a workload of, whichever, instead of id"`
}

func (s SPIFFE) build(tls strict.At) registry.SPIFFE {
	at := tls.Field("spiffe")
	if !at.Exists() {
		return registry.SPIFFE{}
	}
	for _, key := range []string{"ca", "client_certificate", "client_key"} {
		if other := tls.Field(key); other.Exists() {
			other.Report("cannot stand beside spiffe, which says whom to trust and what to show")
		}
	}
	switch {
	case s.ID != "" && s.TrustDomain != "":
		at.Field("trust_domain").Report("cannot stand beside id, which names one")
	case s.ID != "":
		return registry.SPIFFE{TrustDomain: s.ID.domain(), ID: string(s.ID)}
	case s.TrustDomain == "":
		at.Field("id").Report("is required, or trust_domain: which workload the server must be")
	}
	return registry.SPIFFE{TrustDomain: string(s.TrustDomain)}
}
