// Package envelope checks what surrounds a message: where the request came
// from (Host and Origin, against DNS rebinding) and which methods may be used.
package envelope

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.envelope" section.
type Config struct {
	AllowedHosts   []string `yaml:"allowed_hosts" doc:"DNS names that clients may use in the Host header, such as mcp.example.com or *.example.com; IP addresses and localhost always may"`
	AllowedOrigins []string `yaml:"allowed_origins" doc:"Origins of web pages that may call the gateway, such as https://app.example.com; loopback origins always may"`
	AllowedMethods []string `yaml:"allowed_methods" doc:"The only MCP methods to let through, such as tools/call, notifications/* or to_client:notifications/*; a direction that no entry is about keeps every method"`
	DeniedMethods  []string `yaml:"denied_methods" doc:"MCP methods to refuse although the protocol has them, such as resources/subscribe, sampling/* or to_client:ping"`
}

// Reasons of this guard.
const (
	OriginNotAllowed guard.Reason = "origin_not_allowed"
	HostNotAllowed   guard.Reason = "host_not_allowed"
	MethodNotAllowed guard.Reason = "method_not_allowed"
)

// Spec presents the guard to the chain.
func Spec() guard.Spec {
	return guard.Define("envelope", "Checks where each request comes from and which methods are used.", Config{}, build,
		guard.Want{Method: "*", Direction: mcp.ToServer},
		guard.Want{Method: "*", Direction: mcp.ToClient},
	).WithReasons(
		guard.ReasonInfo{Reason: OriginNotAllowed, Status: 403, Code: guard.CodeDenied, Text: "Web pages of this origin may not call the gateway.", When: "The Origin header names neither a loopback host nor an entry of `guards.envelope.allowed_origins`, or a browser says that another site's page made the request."},
		guard.ReasonInfo{Reason: HostNotAllowed, Status: 403, Code: guard.CodeDenied, Text: "The gateway is not known under this host name.", When: "The Host header is a DNS name that `guards.envelope.allowed_hosts` does not list, perhaps DNS rebinding, or no host at all."},
		guard.ReasonInfo{Reason: MethodNotAllowed, Status: 200, Code: mcp.CodeMethodNotFound, Text: "This method is not allowed here.", When: "A method that `guards.envelope.denied_methods` lists, or `allowed_methods` does not. HTTP 405 for GET and DELETE."},
	)
}

type envelope struct {
	hosts   []hostPattern
	origins map[origin]bool
	methods [2]rules // by direction
}

// build reports every entry that is none, each with its key.
func build(c Config) (guard.Guard, error) {
	g := &envelope{origins: make(map[origin]bool)}
	var errs []error
	bad := func(key string, i int, err error) { errs = append(errs, fmt.Errorf("%s[%d]: %w", key, i, err)) }
	for i, s := range c.AllowedHosts {
		p, err := parseHostPattern(s)
		if err != nil {
			bad("allowed_hosts", i, err)
		}
		g.hosts = append(g.hosts, p)
	}
	for i, s := range c.AllowedOrigins {
		o, ok := parseOrigin(s)
		if !ok {
			bad("allowed_origins", i, fmt.Errorf("%q is not an origin; write scheme://host or scheme://host:port", s))
		}
		g.origins[o] = true
	}
	for i, s := range c.AllowedMethods {
		if err := g.rule(s, func(r *rules, w guard.Want) { r.allowed = append(r.allowed, w) }); err != nil {
			bad("allowed_methods", i, err)
		}
	}
	for i, s := range c.DeniedMethods {
		if err := g.rule(s, func(r *rules, w guard.Want) { r.denied = append(r.denied, w) }); err != nil {
			bad("denied_methods", i, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g, nil
}

// Admit refuses requests that a web page made through a name which points to
// the gateway only since the page was loaded (MCP transports, security warning).
func (g *envelope) Admit(_ context.Context, x *guard.Exchange) (guard.Verdict, error) {
	if x.Headers == nil {
		return guard.Refuse(HostNotAllowed, "no headers"), nil
	}
	authority, n := x.Headers.Get(":authority")
	host, m := x.Headers.Get("host")
	switch {
	case n == 0 && m == 0:
		return guard.Refuse(HostNotAllowed, "no host header"), nil
	case n > 1 || m > 1:
		return guard.Refuse(HostNotAllowed, "several host headers"), nil
	case n == 1 && !g.hostAllowed(authority), m == 1 && !g.hostAllowed(host):
		return guard.Refuse(HostNotAllowed, "host header is not an allowed name"), nil
	}
	from, n := x.Headers.Get("origin")
	switch {
	case n > 1:
		return guard.Refuse(OriginNotAllowed, "several origin headers"), nil
	case n == 1 && !g.originAllowed(from):
		return guard.Refuse(OriginNotAllowed, "origin header is not an allowed origin"), nil
	case n == 1:
		return guard.Pass(), nil
	}
	// Some requests that pages can cause, such as those for images, carry no
	// Origin; a browser then says by itself whose they are (Fetch Metadata).
	if site, n := x.Headers.Get("sec-fetch-site"); n > 1 || site == "cross-site" {
		return guard.Refuse(OriginNotAllowed, "a page of another site made the request"), nil
	}
	return guard.Pass(), nil
}

// Inspect refuses the methods that the operator took away. Responses have
// none, and what they answer was judged before; but a modern server's requests
// travel inside its results.
func (g *envelope) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	r := &g.methods[m.Direction]
	if len(r.allowed) > 0 || len(r.denied) > 0 {
		detail := ""
		if m.Method != "" {
			detail = r.against(m.Method, m.Direction)
		}
		if detail == "" && m.Direction == mcp.ToClient && x.Revision.Modern() {
			detail = r.againstNested(m)
		}
		if detail != "" {
			return guard.Refuse(MethodNotAllowed, detail), nil
		}
	}
	v := guard.Pass()
	v.Edits = g.withhold(x, m)
	return v, nil
}
