package xds

import (
	"errors"
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/sallyport/sallyport/internal/registry"
)

// Build returns the configuration that makes Envoy serve the servers of view
// with settings s. It is a pure function: equal arguments give equal resources,
// byte for byte. The resources it returns are valid; an error names everything
// that is wrong.
func Build(view *registry.View, s Settings) (*Resources, error) {
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("xds: settings: %w", err)
	}
	b := &builder{Settings: s, uses: map[string]bool{}, secrets: newSecrets()}
	r := &Resources{}
	b.expect(view)
	table := make([]entry, 0, len(view.Servers()))
	for i := range view.Servers() {
		srv := &view.Servers()[i]
		if err := b.check(srv); err != nil {
			b.errs = append(b.errs, err)
			continue
		}
		for j := range srv.Versions {
			r.Clusters = append(r.Clusters, b.cluster(srv, &srv.Versions[j]))
		}
		table = append(table, entry{path: pathPrefix + srv.Name, routes: b.routes(srv)})
	}
	if !s.NoExtProc {
		r.Clusters = append(r.Clusters, b.extProcCluster())
		b.uses[extProcCluster] = true
	}
	r.Routes = []*routev3.RouteConfiguration{b.routeConfig(table)}
	for _, l := range s.Listeners {
		r.Listeners = append(r.Listeners, b.listener(l))
	}
	for i := range s.Egress {
		e := &s.Egress[i]
		for j := range e.Workloads {
			r.Clusters = append(r.Clusters, b.egressCluster(e, &e.Workloads[j]))
		}
		r.Routes = append(r.Routes, b.egressRouteConfig(e))
		r.Listeners = append(r.Listeners, b.egressListener(e))
	}
	r.Secrets = b.secrets.list
	r.uses = b.uses
	if err := errors.Join(append(b.errs, b.err)...); err != nil {
		return nil, err
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return r, nil
}

// builder carries what the parts of one Build share.
type builder struct {
	Settings
	packer
	uses    map[string]bool
	secrets *secrets
	servers []string // trust domains of servers
	errs    []error
}

// check refuses what cannot become a working route or cluster. The registry has
// checked its files already; this guards against other sources of views.
func (b *builder) check(srv *registry.Server) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("xds: server %s: "+format, append([]any{srv.Name}, args...)...))
	}
	if !validName(srv.Name) {
		bad("the name must be 1 to 63 of a-z, 0-9 and inner hyphens")
	}
	if len(srv.Versions) == 0 {
		bad("at least one version is needed")
	}
	seen := map[string]bool{}
	for i := range srv.Versions {
		v := &srv.Versions[i]
		switch {
		case v.Name == "" || seen[v.Name]:
			bad("version %q: the name must be set and unique", v.Name)
		case v.Scheme != "http" && v.Scheme != "https":
			bad("version %s: scheme %q is not http or https", v.Name, v.Scheme)
		case len(v.Endpoints) == 0:
			bad("version %s: at least one endpoint is needed", v.Name)
		case !validPath(v.Path):
			bad("version %s: path %q must begin with / and hold no query, fragment or control characters", v.Name, v.Path)
		case v.TLS.SPIFFE.TrustDomain != "" && (b.Workload == nil || b.Workload.Bundles[b.Workload.TrustDomain] == nil):
			bad("version %s: is to be a SPIFFE workload, and the gateway is none", v.Name)
		case v.TLS.SPIFFE.TrustDomain != "" && (v.TLS.CAFile != "" || v.TLS.CertFile != ""):
			bad("version %s: is verified as a SPIFFE workload or by an authority, not either", v.Name)
		case (v.TLS.CertFile == "") != (v.TLS.KeyFile == ""):
			bad("version %s: a client certificate needs both certificate and key", v.Name)
		}
		seen[v.Name] = true
		for _, e := range v.Endpoints {
			if !validHost(e.Host) || e.Port == 0 {
				bad("version %s: endpoint %q port %d is not a host and port", v.Name, e.Host, e.Port)
			}
		}
	}
	return errors.Join(errs...)
}

func validName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func validPath(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
			return false
		}
	}
	return true
}

func validHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '/' || c == '[' || c == ']' || c == '@' {
			return false
		}
	}
	return s != ""
}
