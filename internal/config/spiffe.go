package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/config/declare"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
)

// SPIFFE says where the identities of workloads come from.
type SPIFFE struct {
	WorkloadAPI  WorkloadAPI           `yaml:"workload_api" doc:"Address of the SPIFFE Workload API, which gives the gateway its X.509-SVID and the bundles of trust domains"`
	Files        SPIFFEFiles           `yaml:"files" doc:"Files that hold the same, kept up to date by somebody else such as spiffe-helper, in place of workload_api"`
	TrustDomains []declare.TrustDomain `yaml:"trust_domains" min:"1" doc:"Trust domains whose workloads are believed as callers; all others are refused, also federated ones"`
	JWTSVIDs     JWTSVIDs              `yaml:"jwt_svids" doc:"Whether callers may show a JWT-SVID as their bearer token"`
}

// SPIFFEFiles hold an SVID and bundles.
type SPIFFEFiles struct {
	Certificate string       `yaml:"certificate" doc:"PEM file of the gateway's X.509-SVID with its chain"`
	Key         string       `yaml:"key" doc:"PEM file of its private key"`
	Bundles     []BundleFile `yaml:"bundles" min:"1" doc:"Authorities of trust domains, the gateway's own among them"`
}

// BundleFile holds the authorities of one trust domain.
type BundleFile struct {
	TrustDomain declare.TrustDomain `yaml:"trust_domain" required:"true" doc:"Name of the trust domain"`
	X509        string              `yaml:"x509" required:"true" doc:"PEM file of its certificate authorities"`
	JWKS        string              `yaml:"jwks" doc:"File of the keys of its JWT-SVIDs, as a JWK set"`
}

// JWTSVIDs says how JWT-SVIDs are accepted.
type JWTSVIDs struct {
	Accept     bool     `yaml:"accept" doc:"Accept JWT-SVIDs of trust_domains where gateway.authentication.method demands a JWT"`
	Audiences  []string `yaml:"audiences" doc:"Audiences that are good for every server, beside each server's own URL"`
	Algorithms []string `yaml:"algorithms" oneof:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512" doc:"Signature algorithms to believe; RS256 and ES256 when absent"`
	Tenant     string   `yaml:"tenant" doc:"Tenant of every workload that shows one"`
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

// UsesSPIFFE reports whether workloads are known by SPIFFE ids.
func (c *Config) UsesSPIFFE() bool {
	return c.Gateway.Authentication.WorkloadIdentity != "" || c.Identity.WorkloadIdentity != ""
}

// checkSPIFFE demands that what is said of workload identities takes effect;
// servers reports whether any may be a workload.
func (c *Config) checkSPIFFE(at strict.At, servers bool) {
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
	c.checkSPIFFESource(block, says)
	callers := c.SPIFFE.JWTSVIDs.Accept || slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.TLS.SPIFFE })
	leaving := slices.ContainsFunc(c.Egress.Listeners, func(l EgressListener) bool { return l.TLS.SPIFFE })
	if (callers || leaving) && len(c.SPIFFE.TrustDomains) == 0 && block.Field("trust_domains").OK() {
		block.Field("trust_domains").Report("is required: whose workloads are believed")
	}
	method := c.Gateway.Authentication.Method
	switch {
	case method == "none" && callers:
		says.Report("identifies nobody beside gateway.authentication.method none; write a method with mTLS")
	case !callers && !leaving && !servers:
		says.Report("is used by no listener and no server; write tls: {spiffe: true} where workloads connect")
	}
	svids := block.Field("jwt_svids")
	switch {
	case !c.SPIFFE.JWTSVIDs.Accept && svids.Exists() && svids.OK():
		svids.Report("has no effect without accept: true")
	case c.SPIFFE.JWTSVIDs.Accept && method != "JWT" && method != "mTLS + JWT":
		svids.Field("accept").Report("needs a gateway.authentication.method with JWT")
	}
}

// checkSPIFFESource demands one source of identities, whole.
func (c *Config) checkSPIFFESource(block, says strict.At) {
	api, files := block.Field("workload_api"), block.Field("files")
	switch {
	case api.Exists() && files.Exists():
		files.Report("cannot stand beside workload_api: identities come from the one or from the other")
	case files.Exists() && files.OK():
		c.SPIFFE.Files.check(files, c.SPIFFE.JWTSVIDs.Accept)
	case !api.Exists() && api.OK():
		api.Report("is required, because %s says SPIFFE; or files", says.Path())
	}
}

func (f *SPIFFEFiles) check(at strict.At, jwt bool) {
	if f.Certificate == "" || f.Key == "" {
		at.Field("certificate").Report("is required, and key: the gateway's own X.509-SVID")
	}
	if len(f.Bundles) == 0 && at.Field("bundles").OK() {
		at.Field("bundles").Report("is required: nobody could be verified")
	}
	seen, keys := make(map[declare.TrustDomain]bool), false
	for i, b := range f.Bundles {
		if seen[b.TrustDomain] {
			at.Field("bundles").Item(i).Field("trust_domain").Report("%q is already that of another bundle", b.TrustDomain)
		}
		seen[b.TrustDomain] = true
		keys = keys || b.JWKS != ""
	}
	if jwt && !keys && len(f.Bundles) > 0 && at.Field("bundles").OK() {
		at.Field("bundles").Report("hold no jwks, and jwt_svids are to be accepted")
	}
}

// checkServers reports servers that are to be workloads where the gateway is
// none.
func (c *Config) checkServers(view *registry.View) (problems Problems) {
	if c.UsesSPIFFE() {
		return nil
	}
	for _, s := range view.Servers() {
		if isWorkload(s) {
			problems = append(problems, Problem{File: s.Origin, Text: "server " + s.Name + `: tls.spiffe needs gateway.authentication.workload_identity: "SPIFFE"`})
		}
	}
	return problems
}

func isWorkload(s registry.Server) bool {
	return slices.ContainsFunc(s.Versions, func(v registry.Version) bool { return v.TLS.SPIFFE.TrustDomain != "" })
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
