// Package registry holds the MCP servers that the gateway fronts.
//
// A [View] is immutable: the registry makes a new one for every change, and
// whoever works with one keeps it until done.
package registry

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Classification is the sensitivity of the data a server handles, in the words
// of the Enterprise MCP Servers Guide.
type Classification string

// The classifications, least sensitive first.
const (
	Public       Classification = "public"
	Internal     Classification = "internal"
	Confidential Classification = "confidential"
	Restricted   Classification = "restricted"
)

// Server is one registered MCP server, reached at /mcp/<Name>.
type Server struct {
	Name           string // [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?
	Description    string
	Owner          string
	Domain         string
	Classification Classification
	Revisions      []mcp.Revision // what it may be spoken to in; empty means all
	Clearance      Classification // most sensitive data that may go in
	Tools          map[string]guard.Tool
	Prices         map[string]guard.Price // of calls of tools
	Fields         map[string][]guard.DataField
	Versions       []Version // at least one
	Origin         string    // where it was declared, as file:line:col
}

// Version is one deployed release of a server. Requests without a session are
// spread over a server's versions by weight.
type Version struct {
	Name      string // unique within its server; "default" when the server declares none
	Weight    uint32 // share of new sessions; 0 takes the version out of rotation
	Scheme    string // "http" or "https"
	Endpoints []Endpoint
	Path      string // path of the MCP endpoint upstream, with a leading slash
	TLS       TLS    // used when Scheme is "https"

	ConnectTimeout time.Duration
	IdleTimeout    time.Duration // longest silence on one stream
	Health         HealthCheck
	Limits         Limits
}

// Endpoint is one replica of a version.
type Endpoint struct {
	Host string // IP address or DNS name, without brackets
	Port uint16
}

// TLS says how to authenticate an upstream, and ourselves to it. Paths name
// PEM files that Envoy reads.
type TLS struct {
	CAFile   string // empty: the system's roots
	SNI      string // empty: the endpoint's host
	CertFile string // client certificate chain; empty: none
	KeyFile  string
	SPIFFE   SPIFFE // in the place of CAFile, CertFile and KeyFile
}

// SPIFFE says which workload an upstream must be. The gateway shows it its own
// X.509-SVID.
type SPIFFE struct {
	TrustDomain string // empty: the upstream is no workload
	ID          string // empty: any workload of the trust domain
}

// HealthCheck is Envoy's active check of each endpoint.
type HealthCheck struct {
	Path     string // HTTP GET that must answer 2xx; empty: a TCP connect
	Interval time.Duration
	Timeout  time.Duration
	Disabled bool
}

// Limits are Envoy's circuit breakers for one version.
type Limits struct {
	MaxConnections uint32
	MaxPending     uint32
	MaxRequests    uint32
}

// View is one consistent state of the registry. The zero value has no servers.
type View struct {
	servers []Server // sorted by name
}

// NewView returns a view of servers, which it takes over and sorts by name.
// Names must be unique; validation has seen to that.
func NewView(servers []Server) *View {
	slices.SortFunc(servers, func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
	return &View{servers: servers}
}

// Servers returns all servers sorted by name. The caller must not change them.
func (v *View) Servers() []Server {
	if v == nil {
		return nil
	}
	return v.servers
}

// Lookup returns the server called name, or nil.
func (v *View) Lookup(name string) *Server {
	if v == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(v.servers, name, func(s Server, n string) int { return strings.Compare(s.Name, n) })
	if !ok {
		return nil
	}
	return &v.servers[i]
}

// Speaks reports whether the server may be spoken to in revision r.
func (s *Server) Speaks(r mcp.Revision) bool {
	return len(s.Revisions) == 0 || slices.Contains(s.Revisions, r)
}

// Version returns the version called name, or nil.
func (s *Server) Version(name string) *Version {
	for i := range s.Versions {
		if s.Versions[i].Name == name {
			return &s.Versions[i]
		}
	}
	return nil
}
