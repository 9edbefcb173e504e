package identity

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config is the user's "guards.identity" section: the details of what
// gateway.authentication demands.
type Config struct {
	PublicURL  string        `yaml:"public_url" doc:"How clients reach the gateway, such as https://mcp.example.com. The audience of a token for a server is this and /mcp/<server>"`
	Issuers    []Issuer      `yaml:"issuers" doc:"Who may vouch for callers by tokens; needed where gateway.authentication.method says JWT"`
	ClockSkew  time.Duration `yaml:"clock_skew" min:"0s" max:"5m" doc:"How far an issuer's clock may be ahead of the gateway's; expiry is always exact"`
	Reauth     Reauth        `yaml:"reauthentication" doc:"What counts as fresh where identity_framework.continuous_reauth asks for it"`
	TokenCache time.Duration `yaml:"token_cache" min:"0s" max:"1h" doc:"How long a verified token is remembered, never beyond its expiry; 0 verifies every time"`
}

// Issuer is one OpenID provider or OAuth authorization server.
type Issuer struct {
	URL           string        `yaml:"url" required:"true" doc:"The issuer as its tokens name it; its metadata is read from /.well-known/openid-configuration below it"`
	JWKS          string        `yaml:"jwks_url" doc:"Where its keys are; its metadata says so when absent"`
	Audiences     []string      `yaml:"audiences" doc:"Audiences that are good for every server, beside each server's own"`
	Algorithms    []string      `yaml:"algorithms" oneof:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA" doc:"Signature algorithms to believe"`
	Tenant        string        `yaml:"tenant" doc:"Tenant of everybody whom this issuer vouches for, whatever their tokens say"`
	Claims        Claims        `yaml:"claims" doc:"Which claims say what. A path such as realm_access.roles leads into objects"`
	Scopes        []string      `yaml:"scopes" doc:"Scopes that a client is told to ask for"`
	Introspection Introspection `yaml:"introspection" doc:"How the issuer is asked about tokens that are no JWT (RFC 7662); nobody is when absent"`
	DPoP          string        `yaml:"dpop" oneof:"off|accept|require" doc:"Whether tokens that are bound to a key of their holder (RFC 9449) are accepted, or are the only ones"`
}

// Introspection says how an issuer is asked about tokens.
type Introspection struct {
	URL          string        `yaml:"url" doc:"Where it is asked; only tokens that are no JWT are sent there"`
	ClientID     string        `yaml:"client_id" doc:"How the gateway calls itself there"`
	ClientSecret string        `yaml:"client_secret" doc:"Reference to its secret: env:NAME or file:/path"`
	Prefix       string        `yaml:"prefix" doc:"What the issuer's opaque tokens begin with; needed where several issuers are asked, so that none learns of another's tokens"`
	Cache        time.Duration `yaml:"cache" min:"0s" max:"15m" doc:"How long an answer counts, never beyond the token's expiry: as long a token that its issuer revoked is accepted still"`
	Timeout      time.Duration `yaml:"timeout" min:"50ms" max:"5s" doc:"How long the issuer may take to answer"`
}

// Default sets what holds where a configuration says nothing.
func (n *Introspection) Default() { n.Cache, n.Timeout = 30*time.Second, time.Second }

func (n *Introspection) check(i int, bad func(string, ...any)) {
	if n.URL == "" {
		if n.ClientID != "" || n.ClientSecret != "" || n.Prefix != "" {
			bad("issuers[%d]: introspection: url: is needed", i)
		}
		return
	}
	if why := Insecure(n.URL); why != "" {
		bad("issuers[%d]: introspection: url: %q %s", i, n.URL, why)
	}
	if n.ClientID == "" || n.ClientSecret == "" {
		bad("issuers[%d]: introspection: client_id and client_secret: are needed; an endpoint that answers anybody would tell anybody", i)
	}
}

// Reauth says what counts as a fresh authentication.
type Reauth struct {
	MaxAge time.Duration `yaml:"max_age" min:"10s" max:"24h" doc:"How long ago the person may have authenticated (auth_time)"`
	ACR    []string      `yaml:"acr_values" doc:"Authentication contexts (acr) that are strong enough, best first; any when empty"`
}

// Claims says which claims say what.
type Claims struct {
	Subject  string `yaml:"subject" doc:"Who it is"`
	Tenant   string `yaml:"tenant" doc:"Tenant"`
	Project  string `yaml:"project" doc:"Project of the tenant that the work is for, for budgets by project"`
	Roles    string `yaml:"roles" doc:"Roles, as a list or as words"`
	Scopes   string `yaml:"scopes" doc:"Scopes, as a list or as words"`
	Client   string `yaml:"client" doc:"OAuth client; azp stands in where client_id is absent"`
	Agent    string `yaml:"agent" doc:"Acting agent, where the token has no act claim"`
	Task     string `yaml:"task" doc:"Task that the token was issued for"`
	TaskType string `yaml:"task_type" doc:"Kind of that task"`
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{ClockSkew: 10 * time.Second, TokenCache: 5 * time.Minute, Reauth: Reauth{MaxAge: 15 * time.Minute}}
}

// Default sets what holds for an issuer where a configuration says nothing.
func (i *Issuer) Default() {
	i.DPoP = "off"
	i.Introspection.Default()
	i.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	i.Claims = Claims{
		Subject: "sub", Tenant: "tenant", Project: "project", Roles: "roles", Scopes: "scope", Client: "client_id",
		Agent: "agent", Task: "task", TaskType: "task_type",
	}
}

// Validate reports every setting that is wrong by itself.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.PublicURL != "" {
		if why := Insecure(c.PublicURL); why != "" {
			bad("public_url: %q %s", c.PublicURL, why)
		} else if strings.HasSuffix(c.PublicURL, "/") {
			bad("public_url: %q ends in a slash; remove it", c.PublicURL)
		}
	}
	for i, s := range c.Reauth.ACR {
		if !isScope(s) {
			bad("reauthentication: acr_values[%d]: %q cannot be asked for: no spaces, quotes and backslashes", i, s)
		}
	}
	seen := make(map[string]bool)
	for i, one := range c.Issuers {
		if why := Insecure(one.URL); why != "" {
			bad("issuers[%d]: url: %q %s", i, one.URL, why)
		}
		if why := Insecure(one.JWKS); one.JWKS != "" && why != "" {
			bad("issuers[%d]: jwks_url: %q %s", i, one.JWKS, why)
		}
		if seen[one.URL] {
			bad("issuers[%d]: url: %q is listed twice", i, one.URL)
		}
		seen[one.URL] = true
		one.Introspection.check(i, bad)
		for _, other := range c.Issuers[:i] {
			a, b := one.Introspection, other.Introspection
			if a.URL != "" && b.URL != "" && (strings.HasPrefix(a.Prefix, b.Prefix) || strings.HasPrefix(b.Prefix, a.Prefix)) {
				bad("issuers[%d]: introspection: prefix: %q and %q begin alike, so that one issuer would be shown tokens of the other", i, a.Prefix, b.Prefix)
			}
		}
		if len(one.Algorithms) == 0 {
			bad("issuers[%d]: algorithms: is empty, so no token could be believed", i)
		}
		if one.Claims.Subject == "" {
			bad("issuers[%d]: claims: subject: is empty, so nobody could be told apart", i)
		}
		for j, s := range one.Scopes {
			if !isScope(s) {
				bad("issuers[%d]: scopes[%d]: %q is no scope (RFC 6749, 3.3)", i, j, s)
			}
		}
	}
	return errors.Join(errs...)
}

// Insecure says why keys or tokens must not travel to a URL, or returns "".
func Insecure(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || strings.ContainsAny(raw, "?#\\\" \t\r\n"):
		return "is not a plain URL; write https, a host and perhaps a path"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return "" // nobody stands between
	}
	return "must begin with https; plain http is for loopback hosts only"
}

// isScope checks a scope token: visible ASCII but quotes and backslashes.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
