package envelope

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// hostPattern is a DNS name, or everything below one.
type hostPattern struct {
	name string
	wild bool
}

func parseHostPattern(s string) (hostPattern, error) {
	name, wild := strings.CutPrefix(s, "*.")
	canonical, port, ok := splitHost(name)
	if !ok || port != "" || canonical == "" || canonical[0] == '[' {
		return hostPattern{}, fmt.Errorf("%q is not a host name; write mcp.example.com or *.example.com, without scheme or port", s)
	}
	return hostPattern{canonical, wild}, nil
}

// matches compares canonical names. The dot before the pattern's name keeps
// evil-example.com out of *.example.com.
func (p hostPattern) matches(name string) bool {
	if !p.wild {
		return name == p.name
	}
	sub, ok := strings.CutSuffix(name, p.name)
	return ok && len(sub) > 1 && sub[len(sub)-1] == '.'
}

// hostAllowed judges a Host header. IP literals pass because rebinding needs
// a name that the attacker can point elsewhere.
func (g *envelope) hostAllowed(host string) bool {
	name, _, ok := splitHost(host)
	if !ok {
		return false
	}
	if isIP(name) || isLocal(name) {
		return true
	}
	for _, p := range g.hosts {
		if p.matches(name) {
			return true
		}
	}
	return false
}

// origin is a web origin with its parts in canonical form; the port is never
// the scheme's default.
type origin struct{ scheme, host, port string }

func parseOrigin(s string) (origin, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(scheme) {
		return origin{}, false // "null" is the origin of sandboxed pages and files
	}
	host, port, ok := splitHost(rest)
	o := origin{strings.ToLower(scheme), host, port}
	if o.scheme == "https" && port == "443" || o.scheme == "http" && port == "80" {
		o.port = ""
	}
	return o, ok
}

// originAllowed judges an Origin header: listed ones, and pages served from
// the client's own machine.
func (g *envelope) originAllowed(s string) bool {
	o, ok := parseOrigin(s)
	if !ok {
		return false
	}
	if g.origins[o] {
		return true
	}
	if o.scheme != "http" && o.scheme != "https" {
		return false
	}
	a, err := netip.ParseAddr(strings.Trim(o.host, "[]"))
	return isLocal(o.host) || err == nil && a.Unmap().IsLoopback()
}

// splitHost reads host or host:port, strictly: a bracketed IPv6 address, or
// letters, digits, '-', '_' and '.'. No user, no path, no second port. The
// name comes back in lower case without a trailing dot, which DNS ignores.
func splitHost(s string) (name, port string, ok bool) {
	name, rest := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		name, rest = s[:end+1], s[end+1:]
		// A zone means something on the client's machine only (RFC 6874, 4), and
		// may hold any character.
		if a, err := netip.ParseAddr(name[1:end]); err != nil || !a.Is6() || a.Zone() != "" {
			return "", "", false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		name, rest = s[:i], s[i:]
	}
	if rest != "" {
		n, err := strconv.ParseUint(rest[1:], 10, 16)
		if err != nil || rest[0] != ':' || n == 0 {
			return "", "", false
		}
		port = strconv.FormatUint(n, 10)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name, port, name != "" && (name[0] == '[' || isName(name))
}

func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.' && i > 0 && s[i-1] != '.':
		default:
			return false
		}
	}
	return len(s) <= 253
}

func isScheme(s string) bool {
	for i := range len(s) {
		switch c := s[i] | 0x20; {
		case c >= 'a' && c <= 'z':
		case i > 0 && (s[i] >= '0' && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.'):
		default:
			return false
		}
	}
	return s != ""
}

func isIP(name string) bool {
	if name[0] == '[' {
		return true // splitHost has parsed it
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// isLocal accepts the names that never leave the client's machine (RFC 6761,
// 6.3).
func isLocal(name string) bool { return name == "localhost" || strings.HasSuffix(name, ".localhost") }
