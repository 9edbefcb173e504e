// Package destination finds where texts point to, reads it as a browser or a
// lenient client would, and says whether data may go there.
package destination

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Destination is one place that a text names.
type Destination struct {
	Scheme string // lower case; empty for a bare host
	Host   string // canonical: lower case, ASCII, no trailing dot; an IP address without brackets
	Port   int    // 0 when the text names none and the scheme has no default
	IP     netip.Addr
}

// ErrDoubt is wrapped by errors about texts that different readers would take
// for different destinations, or for none.
var ErrDoubt = errors.New("cannot be read without doubt")

func doubt(format string, args ...any) error {
	return fmt.Errorf("destination: "+format+": %w", append(args, ErrDoubt)...)
}

var defaultPort = map[string]int{"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ssh": 22, "git": 9418, "ldap": 389, "smtp": 25, "redis": 6379}

// Parse reads an absolute URL. It is strict: what browsers repair, such as
// backslashes, white space, missing slashes and escapes in the host, is in
// doubt, because other clients repair it differently.
func Parse(s string) (Destination, error) {
	scheme, rest, ok := cutScheme(s)
	if !ok {
		return Destination{}, doubt("no scheme")
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '\\' {
			return Destination{}, doubt("white space, control character or backslash")
		}
	}
	authority, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return Destination{}, doubt("no // after the scheme")
	}
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		authority = authority[:i]
	}
	d, err := parseAuthority(authority)
	d.Scheme = scheme
	if err == nil && d.Port == 0 {
		d.Port = defaultPort[scheme]
	}
	return d, err
}

// cutScheme returns a scheme in lower case and what follows its colon.
func cutScheme(s string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(s, ":")
	if !ok || scheme == "" {
		return "", "", false
	}
	for i := range len(scheme) {
		c := scheme[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.') {
			continue
		}
		return "", "", false
	}
	return strings.ToLower(scheme), rest, true
}

// parseAuthority reads host, host:port, [IPv6] or [IPv6]:port.
func parseAuthority(s string) (Destination, error) {
	if strings.ContainsAny(s, "@%<>\"'`{}|^ \\") {
		return Destination{}, doubt("user info, an escape or a forbidden character before the host's end")
	}
	var host, port string
	var hasPort bool
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return Destination{}, doubt("a bracket is open")
		}
		host, port = s[1:end], s[end+1:]
		if port != "" {
			if port, hasPort = strings.CutPrefix(port, ":"); !hasPort {
				return Destination{}, doubt("text after the address")
			}
		}
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return Destination{}, doubt("brackets hold no address")
		}
		return withPort(Destination{Host: ip.String(), IP: ip}, port, hasPort)
	}
	if host, port, hasPort = strings.Cut(s, ":"); strings.Contains(port, ":") {
		return Destination{}, doubt("several colons")
	}
	host, err := canonicalHost(host)
	if err != nil {
		return Destination{}, err
	}
	d := Destination{Host: host}
	if ip, isIP, err := numericHost(host); err != nil {
		return Destination{}, err
	} else if isIP {
		d.Host, d.IP = ip.String(), ip
	}
	return withPort(d, port, hasPort)
}

func withPort(d Destination, port string, has bool) (Destination, error) {
	if !has {
		return d, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || len(port) > 5 {
		return Destination{}, doubt("port %q", port)
	}
	d.Port = int(n)
	return d, nil
}

// profile maps names as browsers do (UTS 46), without rules about hyphens.
var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false))

func canonicalHost(s string) (string, error) {
	host, err := profile.ToASCII(s)
	if err != nil {
		return "", doubt("host is no name")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || len(host) > 253 {
		return "", doubt("host is empty or too long")
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 {
			return "", doubt("host has an empty or too long label")
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", doubt("host has a character that names do not have")
			}
		}
	}
	return host, nil
}

// numericHost reads what resolvers take for an IPv4 address: one to four
// numbers, decimal, octal or hexadecimal, the last filling the rest.
func numericHost(host string) (ip netip.Addr, isIP bool, err error) {
	parts := strings.Split(host, ".")
	if _, ok := number(parts[len(parts)-1]); !ok {
		return netip.Addr{}, false, nil
	}
	if len(parts) > 4 {
		return netip.Addr{}, false, doubt("more than four numbers")
	}
	var value uint64
	for i, p := range parts {
		n, ok := number(p)
		if !ok {
			return netip.Addr{}, false, doubt("numbers and words mixed")
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, false, doubt("a number beyond 255")
			}
			value |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(5-len(parts))) {
			return netip.Addr{}, false, doubt("a number beyond the address")
		}
		value |= n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true, nil
}

func number(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
		if s == "" {
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
		if strings.ContainsAny(s, "89") { // some read it as decimal: both are numbers
			base = 10
		}
	}
	n, err := strconv.ParseUint(s, base, 40)
	if err != nil && errors.Is(err, strconv.ErrRange) {
		return 1 << 40, true
	}
	return n, err == nil
}

// ParseHost reads host, host:port, or either with a path behind, as a member
// called "host" or "endpoint" would hold it.
func ParseHost(s string) (Destination, error) {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	return parseAuthority(s)
}

// Follow reads the Location of a redirect from d. Paths stay at d.
func Follow(d Destination, location string) (Destination, error) {
	if _, _, ok := cutScheme(location); ok {
		return Parse(location)
	}
	if strings.HasPrefix(location, "//") {
		return Parse(d.Scheme + ":" + location)
	}
	if strings.ContainsAny(location, "\\\t\r\n") || location == "" {
		return Destination{}, doubt("redirect")
	}
	return d, nil
}
