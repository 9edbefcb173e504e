package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
)

// SPIFFE says where the identities of workloads come from.
type SPIFFE struct {
	WorkloadAPI  WorkloadAPI   `yaml:"workload_api" doc:"Address of the SPIFFE Workload API, which gives the gateway its X.509-SVID and the bundles of trust domains"`
	TrustDomains []TrustDomain `yaml:"trust_domains" min:"1" doc:"Trust domains whose workloads are believed; all others are refused, also federated ones"`
}

// WorkloadAPI is the address of a Workload API. Private keys travel there, so
// that it is on this machine.
type WorkloadAPI string

const workloadAPIPattern = `^(unix:///[^\s?#]+|tcp://[0-9A-Fa-f:.\[\]]+:[0-9]{1,5})$`

var workloadAPI = regexp.MustCompile(workloadAPIPattern)

// Notation describes addresses of a Workload API.
func (WorkloadAPI) Notation() notation.Notation {
	return notation.Notation{
		Name: "Workload API address", Pattern: workloadAPIPattern,
		Allowed:  "unix:///path of a socket, or tcp:// and a loopback IP address and port",
		Examples: []string{"unix:///run/spire/agent.sock", "tcp://127.0.0.1:8081"},
	}
}

// UnmarshalText reads an address.
func (w *WorkloadAPI) UnmarshalText(text []byte) error {
	s := string(text)
	if !workloadAPI.MatchString(s) {
		return fmt.Errorf("%q is not the address of a Workload API; write %s", s, w.Notation().Allowed)
	}
	if hostPort, ok := strings.CutPrefix(s, "tcp://"); ok {
		if a, err := netip.ParseAddrPort(hostPort); err != nil || !a.Addr().IsLoopback() || a.Port() == 0 {
			return fmt.Errorf("%q is not a loopback address, and private keys travel there in the clear; write %s", s, w.Notation().Allowed)
		}
	}
	*w = WorkloadAPI(s)
	return nil
}

// MarshalText writes the address.
func (w WorkloadAPI) MarshalText() ([]byte, error) { return []byte(w), nil }

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
		return fmt.Errorf("%q is not a trust domain; write %s", text, d.Notation().Allowed)
	}
	*d = TrustDomain(text)
	return nil
}

// MarshalText writes the name.
func (d TrustDomain) MarshalText() ([]byte, error) { return []byte(d), nil }

// UsesSPIFFE reports whether workloads are known by SPIFFE ids.
func (c *Config) UsesSPIFFE() bool {
	return c.Gateway.Authentication.WorkloadIdentity != "" || c.Identity.WorkloadIdentity != ""
}

// checkSPIFFE demands that what is said of workload identities takes effect.
func (c *Config) checkSPIFFE(at strict.At) {
	block := at.Field("spiffe")
	if !c.UsesSPIFFE() {
		if block.Exists() {
			block.Report(`is of no use: write gateway.authentication.workload_identity: "SPIFFE"`)
		}
		return
	}
	says := at.Field("gateway").Field("authentication").Field("workload_identity")
	if !says.Exists() {
		says = at.Field("identity_framework").Field("workload_identity")
	}
	if !says.OK() || block.Refused() {
		return
	}
	if c.SPIFFE.WorkloadAPI == "" && block.Field("workload_api").OK() {
		block.Field("workload_api").Report("is required, because %s says %s", says.Path(), "SPIFFE")
	}
	if len(c.SPIFFE.TrustDomains) == 0 && block.Field("trust_domains").OK() {
		block.Field("trust_domains").Report("is required: whose workloads are believed")
	}
	if c.Gateway.Authentication.Method == "none" {
		says.Report("identifies nobody beside gateway.authentication.method none; write a method with mTLS")
		return
	}
	if !slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.TLS.SPIFFE }) {
		says.Report("is used by no listener; write tls: {spiffe: true} where workloads connect")
	}
}

// checkWorkloads demands that SPIFFE is asked for where it is meant to be.
func (c *Config) checkWorkloads(l *Listener, p strict.At) {
	switch tls := p.Field("tls"); {
	case l.TLS.SPIFFE && !c.UsesSPIFFE():
		tls.Field("spiffe").Report(`needs gateway.authentication.workload_identity: "SPIFFE"`)
	case l.TLS.ClientCA != "" && c.UsesSPIFFE():
		tls.Field("client_ca").Report("cannot tell SPIFFE ids from others; write spiffe: true in its place")
	}
}
