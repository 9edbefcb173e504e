// Package declare reads the declarations of MCP servers: those under servers:
// in the configuration and those in the files of a directory.
package declare

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
)

// Server declares one MCP server. What it says about its endpoints is the
// default of its versions, or, without versions, the only version.
type Server struct {
	At strict.At `yaml:"-"`

	Name           Name                    `yaml:"name" required:"true" doc:"Name of the server: clients reach it at /mcp/<name>"`
	Description    string                  `yaml:"description" doc:"What the server is for, in a sentence; /v1/servers shows it"`
	Owner          string                  `yaml:"owner" doc:"Team that answers for the server"`
	Domain         string                  `yaml:"domain" doc:"Business domain of the server"`
	Classification registry.Classification `yaml:"data_classification" oneof:"public|internal|confidential|restricted" doc:"Sensitivity of the data that the server handles"`
	Clearance      registry.Classification `yaml:"clearance" oneof:"public|internal|confidential|restricted" doc:"Most sensitive data that may go into the server's tools; policies read it"`
	Revisions      []Revision              `yaml:"protocol_revisions" doc:"MCP revisions that the server may be spoken to in; all when absent"`
	Tools          []Tool                  `yaml:"tools" doc:"What the registry says of the server's tools. Nothing is known of a tool that is not described, so policies and guards assume the worst of it"`
	Version        `yaml:",inline"`
	Versions       []Named `yaml:"versions" min:"1" doc:"Releases of the server, each with its own endpoints; takes the place of url and urls. A version may hold every setting of the server from url on, and takes from the server what it leaves out"`
}

// Tool describes one tool, or all that are not described by name. It is the
// operator's word; what a server says of its own tools is a claim.
type Tool struct {
	At strict.At `yaml:"-"`

	Name           string                  `yaml:"name" required:"true" doc:"Name of the tool, as the server lists it; * for those that no other entry names"`
	Classification registry.Classification `yaml:"data_classification" oneof:"public|internal|confidential|restricted" doc:"Sensitivity of the tool's data; the server's when absent"`
	Clearance      registry.Classification `yaml:"clearance" oneof:"public|internal|confidential|restricted" doc:"Most sensitive data that may go into the tool; the server's when absent"`
	Fields         []Field                 `yaml:"fields" doc:"Members of arguments and results that are more sensitive than the rest; guards.flow looks for them"`
	Risk           string                  `yaml:"risk" oneof:"low|medium|high|critical" doc:"What a wrong call can cost"`
	Sensitive      bool                    `yaml:"sensitive" doc:"Callers must prove freshly who they are, and calls are checked most strictly"`
	ReadOnly       bool                    `yaml:"read_only" doc:"The tool changes nothing"`
	Destructive    bool                    `yaml:"destructive" doc:"The tool may delete or overwrite"`
	Idempotent     bool                    `yaml:"idempotent" doc:"Calling the tool again with the same arguments changes nothing more"`
	External       bool                    `yaml:"external" doc:"The tool reaches what lies outside of the organisation"`
	Financial      bool                    `yaml:"financial" doc:"The tool moves money"`
	Price          Price                   `yaml:"price" doc:"What calls of the tool cost, where guards.budget.prices says nothing of it"`
}

// Field is a member of arguments or results.
type Field struct {
	Path           string                  `yaml:"path" required:"true" doc:"JSON pointer from the arguments or from the structured result, such as /customer/ssn; a step * is every member or element"`
	Classification registry.Classification `yaml:"data_classification" required:"true" oneof:"public|internal|confidential|restricted" doc:"Sensitivity of what stands there"`
	In             string                  `yaml:"in" oneof:"both|arguments|results" doc:"Where it is looked for; both when absent"`
}

// maxPath bounds how deep a field may lie.
const maxPath = 16

// Check implements strict.Checker.
func (f *Field) Check(at strict.At) {
	if p := at.Field("path"); p.OK() && (!strings.HasPrefix(f.Path, "/") || len(f.Path) > 256 || strings.Count(f.Path, "/") > maxPath) {
		p.Report("%q is no JSON pointer of at most %d steps; write one such as /customer/ssn", clip(f.Path), maxPath)
	}
}

// Price is what calls of a tool cost.
type Price struct {
	Call     notation.Money `yaml:"call" doc:"Of a call"`
	In       notation.Money `yaml:"per_mib_in" doc:"Of a MiB of the request"`
	Out      notation.Money `yaml:"per_mib_out" doc:"Of a MiB of the reply"`
	Tokens   string         `yaml:"tokens" doc:"Where the result has the number of tokens, such as _meta.usage.totalTokens"`
	Million  notation.Money `yaml:"per_million" doc:"Of a million of them"`
	Estimate notation.Money `yaml:"estimate" doc:"Reserved before a call for what only its reply tells; the highest such cost of late when absent"`
}

// Check implements strict.Checker.
func (p *Price) Check(at strict.At) {
	if (p.Tokens == "") != (p.Million == 0) {
		at.Report("needs tokens and per_million together")
	}
}

// Check implements strict.Checker.
func (t *Tool) Check(at strict.At) {
	name := at.Field("name")
	if name.OK() && t.Name != "*" && (t.Name == "" || len(t.Name) > 256 || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' || r == '*' || r == 0x7f })) {
		name.Report("%q is no name of a tool: 1 to 256 bytes without * and control characters, or * alone", clip(t.Name))
	}
	if t.ReadOnly && t.Destructive {
		at.Field("destructive").Report("contradicts read_only")
	}
	if t.ReadOnly && t.Financial {
		at.Field("financial").Report("contradicts read_only")
	}
}

// Named is one of several releases of a server.
type Named struct {
	At strict.At `yaml:"-"`

	Name    VersionName `yaml:"name" required:"true" doc:"Name of the version"`
	Weight  *uint32     `yaml:"weight" max:"1000000" doc:"Share of new sessions, relative to the weights of the other versions; 0 takes the version out of rotation. Required when there are several versions"`
	Version `yaml:",inline"`
}

// Version says where a release runs and how to talk to it.
type Version struct {
	URL            URL           `yaml:"url" doc:"URL of the MCP endpoint"`
	URLs           []URL         `yaml:"urls" min:"1" doc:"URLs of several replicas, instead of url; they differ in host and port only"`
	TLS            TLS           `yaml:"tls" doc:"How server and gateway prove who they are; for https URLs"`
	ConnectTimeout time.Duration `yaml:"connect_timeout" min:"1ms" max:"1m" doc:"How long connecting may take"`
	IdleTimeout    time.Duration `yaml:"idle_timeout" min:"1s" max:"24h" doc:"Longest silence on one stream"`
	Health         Health        `yaml:"health_check" doc:"Active check of each replica"`
	Limits         Breakers      `yaml:"limits" doc:"What one Envoy asks of the version at the same time; more is answered with 503"`
}

// TLS authenticates the server, and the gateway to it. Paths are relative to
// the file they are written in.
type TLS struct {
	CA         string `yaml:"ca" doc:"PEM file of the certificate authorities to trust; the system's when absent"`
	ServerName string `yaml:"server_name" doc:"Name to ask for (SNI) and to find in the certificate; the URL's host when absent"`
	Cert       string `yaml:"client_certificate" doc:"PEM file of the gateway's own certificate chain"`
	Key        string `yaml:"client_key" doc:"PEM file of the private key of client_certificate"`
	SPIFFE     SPIFFE `yaml:"spiffe" doc:"The server is a SPIFFE workload, and the gateway shows it its own X.509-SVID; in the place of ca and client_certificate"`
}

// Health is the active health check.
type Health struct {
	Path     string        `yaml:"path" doc:"Path of an HTTP GET that a healthy replica answers with 2xx; a TCP connect when absent"`
	Interval time.Duration `yaml:"interval" min:"100ms" max:"1h" doc:"Time between two checks"`
	Timeout  time.Duration `yaml:"timeout" min:"10ms" max:"1m" doc:"How long an answer may take"`
	Disabled bool          `yaml:"disabled" doc:"Do not check"`
}

// Breakers bound what is open at the same time.
type Breakers struct {
	MaxConnections uint32 `yaml:"max_connections" min:"1" max:"1000000" doc:"Connections"`
	MaxPending     uint32 `yaml:"max_pending" min:"1" max:"1000000" doc:"Requests that wait for a connection"`
	MaxRequests    uint32 `yaml:"max_requests" min:"1" max:"1000000" doc:"Requests and streams"`
}

// Default implements strict.Defaulter.
func (s *Server) Default() { s.Version.defaults() }

// Default implements strict.Defaulter.
func (n *Named) Default() { n.Version.defaults() }

func (v *Version) defaults() {
	v.ConnectTimeout = 2 * time.Second
	v.IdleTimeout = time.Hour // a GET stream may be silent for long
	v.Health = Health{Interval: 10 * time.Second, Timeout: 2 * time.Second}
	v.Limits = Breakers{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 4096}
}
