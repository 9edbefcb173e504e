package declare

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// Name names a server.
type Name string

// Notation describes names.
func (Name) Notation() notation.Notation {
	return notation.Notation{
		Name: "server name", Pattern: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`,
		Allowed: "1 to 63 lower-case letters, digits and inner hyphens", Examples: []string{"crm"},
	}
}

// UnmarshalText reads a name.
func (n *Name) UnmarshalText(text []byte) error {
	if !registry.ValidName(string(text)) {
		return fmt.Errorf("%q is not a server name; write %s", text, n.Notation().Allowed)
	}
	*n = Name(text)
	return nil
}

// VersionName names a version.
type VersionName string

// Notation describes names of versions.
func (VersionName) Notation() notation.Notation {
	return notation.Notation{
		Name: "version name", Pattern: `^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`,
		Allowed: "1 to 63 lower-case letters, digits and inner dots, hyphens and underscores", Examples: []string{"v2"},
	}
}

// UnmarshalText reads a name.
func (n *VersionName) UnmarshalText(text []byte) error {
	if !registry.ValidVersion(string(text)) {
		return fmt.Errorf("%q is not a version name; write %s", text, n.Notation().Allowed)
	}
	*n = VersionName(text)
	return nil
}

// Revision is an MCP protocol revision.
type Revision struct{ mcp.Revision }

// Notation describes revisions.
func (Revision) Notation() notation.Notation {
	var names []string
	for _, r := range mcp.Revisions() {
		names = append(names, r.String())
	}
	return notation.Notation{
		Name: "protocol revision", Pattern: `^(` + strings.Join(names, "|") + `)$`,
		Allowed: strings.Join(names, ", "), Examples: names[len(names)-1:],
	}
}

// UnmarshalText reads a revision.
func (r *Revision) UnmarshalText(text []byte) error {
	if r.Revision = mcp.ParseRevision(string(text)); r.Revision == mcp.RevisionUnknown {
		return fmt.Errorf("%q is not a protocol revision that this gateway speaks; it speaks %s", text, r.Notation().Allowed)
	}
	return nil
}

// MarshalText writes the revision's date.
func (r Revision) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// URL is where one replica of an MCP server listens.
type URL struct {
	Scheme   string // "http" or "https"
	Endpoint registry.Endpoint
	Path     string // with a leading slash, escaped as it is sent
}

// Notation describes URLs.
func (URL) Notation() notation.Notation {
	return notation.Notation{
		Name: "URL", Pattern: `^https?://[^/?#@\\\s]+(/[^?#\\\s]*)?$`,
		Allowed:  "http or https, a host, perhaps a port and a path, such as https://crm.internal:8443/mcp",
		Examples: []string{"http://127.0.0.1:9101/mcp", "https://crm.internal/mcp"},
	}
}

// UnmarshalText reads a URL.
func (u *URL) UnmarshalText(text []byte) error {
	raw := string(text)
	p, err := url.Parse(raw)
	switch {
	case err != nil || p.Opaque != "" || strings.ContainsAny(raw, "\\ \t\r\n"):
		return fmt.Errorf("%q is not a URL; write %s", clip(raw), u.Notation().Allowed)
	case p.User != nil:
		return fmt.Errorf("must not hold a user or password; remove the part before the @")
	case p.Scheme != "http" && p.Scheme != "https":
		return fmt.Errorf("%q has the scheme %q; write http or https", clip(raw), p.Scheme)
	case strings.ContainsAny(raw, "?#"):
		return fmt.Errorf("%q has a query or a fragment; remove it", clip(raw))
	case !notation.ValidHost(p.Hostname()) || strings.Contains(p.Hostname(), ":") != strings.HasPrefix(p.Host, "["):
		return fmt.Errorf("%q names no valid host; write %s", clip(raw), u.Notation().Allowed)
	}
	port := uint64(80)
	if p.Scheme == "https" {
		port = 443
	}
	if s := p.Port(); s != "" || strings.HasSuffix(p.Host, ":") {
		if port, err = strconv.ParseUint(s, 10, 16); err != nil || port == 0 {
			return fmt.Errorf("%q has no valid port; a port is 1 to 65535", clip(raw))
		}
	}
	path := p.EscapedPath()
	if path == "" {
		path = "/"
	}
	if err := checkPath(path); err != nil {
		return fmt.Errorf("%q %w", clip(raw), err)
	}
	*u = URL{p.Scheme, registry.Endpoint{Host: p.Hostname(), Port: uint16(port)}, path}
	return nil
}

// checkPath refuses what Envoy or the server would rewrite: the path that was
// declared must be the path that is called.
func checkPath(path string) error {
	for segment := range strings.SplitSeq(path, "/") {
		if s, err := url.PathUnescape(segment); err != nil || s == "." || s == ".." || strings.ContainsAny(s, "/\\") {
			return fmt.Errorf("has a path with %q, which is not sent as it is written", segment)
		}
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f {
			return fmt.Errorf("has a path with the byte 0x%02x; write it as %%%02X", c, c)
		}
	}
	if strings.Contains(path, "//") {
		return fmt.Errorf("has a path with an empty segment; remove a slash")
	}
	return nil
}

// MarshalText writes the URL.
func (u URL) MarshalText() ([]byte, error) {
	if u.Scheme == "" {
		return nil, nil
	}
	host := u.Endpoint.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return []byte(u.Scheme + "://" + host + ":" + strconv.Itoa(int(u.Endpoint.Port)) + u.Path), nil
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}
