// Package egress judges where the arguments of a call would send a server, and
// where what it answers links to: URLs, hosts and addresses anywhere in them,
// against an allow-list.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.egress" section.
type Config struct {
	Allow   []Entry `yaml:"allow" doc:"Destinations that calls may name, beside gateway.egress_control.url_allowlist; with neither, all but metadata services"`
	Resolve bool    `yaml:"resolve" doc:"Look up allowed names and judge every address they have"`
	Ignore  []Tool  `yaml:"ignore" doc:"Tools whose arguments and results name destinations without anybody going there, such as a search"`
	Results string  `yaml:"results" oneof:"auto|allow|annotate|strip|refuse" doc:"Links in what servers answer that lead where calls may not: allow does not look; annotate says so in _meta and to operators; strip takes them out; refuse withholds the answer; auto is annotate with gateway.egress_control.content_inspection and an allow-list, and allow otherwise"`
}

// Entry is one line of the allow-list.
type Entry struct {
	Host    string   `yaml:"host" required:"true" doc:"Name, IP address, or *.name for every name below it"`
	Ports   []int    `yaml:"ports" doc:"Ports; 443 when absent"`
	Schemes []string `yaml:"schemes" doc:"Schemes; https when absent"`
	Private bool     `yaml:"private" doc:"The name may lead to private addresses; never to loopback, link-local and metadata ones"`
	Servers []string `yaml:"servers" doc:"Registered servers that may go there; all when absent"`
	Tools   []string `yaml:"tools" doc:"Tools, prompts or resources that may go there; all when absent"`
	Tenants []string `yaml:"tenants" doc:"Tenants of callers that may send there; all when absent"`
}

// Tool is a tool of a server.
type Tool struct {
	Server string `yaml:"server" required:"true" doc:"Registered server"`
	Tool   string `yaml:"tool" required:"true" doc:"Its tool"`
}

// Denied is the reason of this guard.
const Denied = guard.EgressDenied

// Resolver looks names up. It is asked from many goroutines.
type Resolver interface {
	// Known returns the addresses of a name if they are at hand.
	Known(host string) ([]netip.Addr, bool)
	// Lookup finds them; a name that does not exist is an error.
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

// Ports are what the guard needs from outside the process.
type Ports struct {
	Resolver  Resolver // nil leaves names unresolved, for checks of a configuration by itself
	Allowlist []string // gateway.egress_control.url_allowlist
	Inspect   bool     // gateway.egress_control.content_inspection
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("egress", "Judges where arguments and resource URIs would send a server, and where its answers link to.", Config{Resolve: true, Results: "auto"},
		func(c Config) (guard.Guard, error) { return build(c, p) }, append(inward(), outward()...)...,
	).Scanning().WithReasons(
		guard.ReasonInfo{Reason: ForeignLink, Status: 200, Code: guard.CodeResponseContent, Text: "The server's answer links to a place that is not allowed here, and was withheld.", When: "A message of a server holds a link to where calls may not lead, and `guards.egress.results` is `refuse`, or `strip` where it cannot be taken out."},
		guard.ReasonInfo{Reason: Denied, Status: 200, Code: guard.CodeRequestContent, Text: "The call names a destination that is not allowed here. Ask for it to be added to the allow-list, or name another.", When: "An argument or resource URI names a host, address, port or scheme that neither `gateway.egress_control.url_allowlist` nor `guards.egress.allow` has, a name that leads to a forbidden address or nowhere, or a URL that cannot be read without doubt."},
	)
}

// inward are the messages to servers that are judged.
func inward() (out []guard.Want) {
	for _, m := range []string{"tools/call", "resources/read", "resources/subscribe", "prompts/get", "completion/complete", "tasks/update", guard.TopicResponse} {
		out = append(out, guard.Want{Method: m, Direction: mcp.ToServer})
	}
	return out
}

// What happens to links in results.
const (
	allow    = "allow"
	annotate = "annotate"
	strip    = "strip"
	refuse   = "refuse"
)

type egress struct {
	Config
	results  string
	policies []scoped
	open     bool
	resolver Resolver
}

// scoped is an entry with those it is for.
type scoped struct {
	destination.Entry
	servers, tools, tenants []string
}

func build(c Config, p Ports) (guard.Guard, error) {
	g := &egress{Config: c, resolver: p.Resolver, open: len(c.Allow)+len(p.Allowlist) == 0, results: c.Results}
	if c.Results == "auto" || c.Results == "" {
		if g.results = allow; p.Inspect && !g.open {
			g.results = annotate
		}
	}
	for _, host := range p.Allowlist {
		host = strings.ToLower(host)
		g.policies = append(g.policies, scoped{Entry: destination.Entry{Host: host, Private: destination.Internal(host)}})
	}
	errs := []error{notation.OneOf("results", g.results, allow, annotate, strip, refuse)}
	for i, e := range c.Allow {
		host, err := destination.HostPattern(e.Host)
		if err != nil {
			errs = append(errs, fmt.Errorf("allow[%d].host: %w", i, err))
		}
		for k, port := range e.Ports {
			if port < 1 || port > 65535 {
				errs = append(errs, fmt.Errorf("allow[%d].ports[%d]: %d is no port", i, k, port))
			}
		}
		g.policies = append(g.policies, scoped{destination.Entry{Host: host, Ports: e.Ports, Schemes: e.Schemes, Private: e.Private}, e.Servers, e.Tools, e.Tenants})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g, nil
}

// Wants leaves out what servers answer where nobody looks at it.
func (g *egress) Wants() []guard.Want {
	if g.results == allow {
		return inward()
	}
	return append(inward(), outward()...)
}

// RequestsOnly tells a host without responses whether the guard needs them.
func (g *egress) RequestsOnly() error {
	if g.results == allow {
		return nil
	}
	return fmt.Errorf("results: %s needs to see what servers answer", g.results)
}

// Policy returns the allow-list for every server, tool and tenant at once.
func Policy(c Config, p Ports) (*destination.Policy, error) {
	g, err := build(c, p)
	if err != nil {
		return nil, err
	}
	e := g.(*egress)
	policy := &destination.Policy{Open: e.open}
	for i := range e.policies {
		policy.Entries = append(policy.Entries, e.policies[i].Entry)
	}
	return policy, nil
}
