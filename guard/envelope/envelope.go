// Package envelope checks what surrounds a message: where the request came
// from (Origin and Host, against DNS rebinding) and which methods may be used.
package envelope

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.envelope" section.
type Config struct {
	AllowedHosts   []string `yaml:"allowed_hosts" doc:"DNS names that clients may use in the Host header, such as mcp.example.com or *.example.com; IP addresses and localhost always may"`
	AllowedOrigins []string `yaml:"allowed_origins" doc:"Origins of web pages that may call the gateway, such as https://app.example.com; loopback origins always may"`
	DeniedMethods  []string `yaml:"denied_methods" doc:"MCP methods to refuse although the protocol has them, such as resources/subscribe or sampling/*"`
}

// Reasons of this guard.
const (
	OriginNotAllowed guard.Reason = "origin_not_allowed"
	HostNotAllowed   guard.Reason = "host_not_allowed"
	MethodNotAllowed guard.Reason = "method_not_allowed"
)

// Spec presents the guard to the chain.
func Spec() guard.Spec {
	return guard.Define("envelope", "Checks the origin of each request and the methods in use.", Config{}, build,
		guard.Want{Method: "*", Direction: mcp.ToServer},
		guard.Want{Method: "*", Direction: mcp.ToClient},
	).WithReasons(
		guard.ReasonInfo{Reason: OriginNotAllowed, Status: http.StatusForbidden, Code: guard.CodeDenied, Text: "Web pages of this origin may not call the gateway.", When: "The Origin header names neither a loopback host nor an entry of `guards.envelope.allowed_origins`."},
		guard.ReasonInfo{Reason: HostNotAllowed, Status: http.StatusForbidden, Code: guard.CodeDenied, Text: "The gateway is not known under this host name.", When: "The Host header is a DNS name that `guards.envelope.allowed_hosts` does not list: perhaps DNS rebinding."},
		guard.ReasonInfo{Reason: MethodNotAllowed, Status: http.StatusOK, Code: mcp.CodeMethodNotFound, Text: "This method is not allowed here.", When: "A method that `guards.envelope.denied_methods` lists."},
	)
}

type envelope struct {
	hosts   []string
	origins map[string]bool
	denied  []guard.Want
}

func build(c Config) (guard.Guard, error) {
	g := &envelope{origins: make(map[string]bool)}
	for _, h := range c.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/:@ ") || strings.Contains(strings.TrimPrefix(h, "*."), "*") {
			return nil, fmt.Errorf("allowed_hosts: %q is not a host name; write mcp.example.com or *.example.com, without scheme or port", h)
		}
		g.hosts = append(g.hosts, strings.ToLower(h))
	}
	for _, o := range c.AllowedOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("allowed_origins: %q is not an origin; write scheme://host or scheme://host:port", o)
		}
		g.origins[strings.ToLower(o)] = true
	}
	for _, m := range c.DeniedMethods {
		if strings.Contains(strings.TrimSuffix(m, "*"), "*") || m == "" || m == "*" {
			return nil, fmt.Errorf("denied_methods: %q: write a method, or a prefix such as sampling/*", m)
		}
		g.denied = append(g.denied, guard.Want{Method: m, Direction: mcp.ToServer}, guard.Want{Method: m, Direction: mcp.ToClient})
	}
	return g, nil
}

// Admit refuses requests that a web page made through a name which points to
// the gateway only since the page was loaded (MCP transports, security warning).
func (g *envelope) Admit(_ context.Context, x *guard.Exchange) (guard.Verdict, error) {
	host, n := x.Headers.Get(":authority")
	if n == 0 {
		host, n = x.Headers.Get("host")
	}
	if n != 1 || !g.hostAllowed(host) {
		return guard.Refuse(HostNotAllowed, "host header is not an allowed name"), nil
	}
	origin, n := x.Headers.Get("origin")
	if n == 0 {
		return guard.Pass(), nil
	}
	if n > 1 || !g.originAllowed(origin) {
		return guard.Refuse(OriginNotAllowed, "origin header is not an allowed origin"), nil
	}
	return guard.Pass(), nil
}

// Inspect refuses the methods that the operator took away.
func (g *envelope) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	for _, w := range g.denied {
		if w.Matches(m.Method, m.Direction) {
			return guard.Refuse(MethodNotAllowed, "denied_methods lists "+w.Method), nil
		}
	}
	return guard.Pass(), nil
}

// hostAllowed accepts IP literals because rebinding needs a name.
func (g *envelope) hostAllowed(host string) bool {
	name := strings.ToLower(hostname(host))
	if _, err := netip.ParseAddr(name); err == nil || local(name) {
		return true
	}
	for _, h := range g.hosts {
		if suffix, wild := strings.CutPrefix(h, "*"); wild && strings.HasSuffix(name, suffix) && len(name) > len(suffix) || name == h {
			return true
		}
	}
	return false
}

func (g *envelope) originAllowed(origin string) bool {
	if g.origins[strings.ToLower(origin)] {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false // "null" is the origin of sandboxed pages
	}
	a, err := netip.ParseAddr(u.Hostname())
	return local(strings.ToLower(u.Hostname())) || err == nil && a.IsLoopback()
}

func local(name string) bool { return name == "localhost" || strings.HasSuffix(name, ".localhost") }

// hostname cuts the port off a Host header.
func hostname(host string) string {
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return host[1:end]
		}
		return host
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		return host[:i]
	}
	return host
}
