package notation

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// ListenAddress is an IP address and port to listen on. Port 0 takes a free one.
type ListenAddress struct{ netip.AddrPort }

const portPattern = `[0-9]{1,5}`

// Notation describes listen addresses.
func (ListenAddress) Notation() Notation {
	return Notation{
		Name:     "address to listen on",
		Pattern:  `^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\]):` + portPattern + `$`,
		Allowed:  `an IP address and a port, such as 127.0.0.1:8080 or "[::1]:8080"; port 0 takes a free one`,
		Examples: []string{"127.0.0.1:8080", "[::1]:0"},
	}
}

// UnmarshalText reads "127.0.0.1:8080".
func (a *ListenAddress) UnmarshalText(text []byte) error {
	s := string(text)
	p, err := netip.ParseAddrPort(s)
	if err == nil && p.Addr().Zone() == "" {
		a.AddrPort = p
		return nil
	}
	if strings.HasPrefix(s, ":") {
		return fmt.Errorf("%s names no IP address; write 127.0.0.1%[2]s for this machine only, or 0.0.0.0%[2]s for all networks", quote(s), s)
	}
	if port, ok := strings.CutPrefix(s, "localhost:"); ok {
		return fmt.Errorf("%s is a name; write 127.0.0.1:%s", quote(s), port)
	}
	return fmt.Errorf("%s is not an address to listen on; write %s", quote(s), a.Notation().Allowed)
}

// MarshalText writes the address, or nothing when it is not set.
func (a ListenAddress) MarshalText() ([]byte, error) {
	if !a.IsValid() {
		return nil, nil
	}
	return a.AddrPort.MarshalText()
}

// Loopback reports whether only this machine can connect.
func (a ListenAddress) Loopback() bool { return a.Addr().Unmap().IsLoopback() }

// DialAddress is a host and port to connect to. The zero value is none.
type DialAddress struct {
	Host string // IP address or DNS name, without brackets
	Port uint16 // at least 1
}

// Notation describes dial addresses.
func (DialAddress) Notation() Notation {
	return Notation{
		Name:     "address to connect to",
		Pattern:  `^([0-9A-Za-z]([0-9A-Za-z._-]{0,251}[0-9A-Za-z])?|\[[0-9A-Fa-f:.]{2,45}\]):` + portPattern + `$`,
		Allowed:  `a host and a port, such as sallyport:9001 or 127.0.0.1:9001`,
		Examples: []string{"sallyport:9001", "[::1]:9001"},
	}
}

// UnmarshalText reads "sallyport:9001".
func (a *DialAddress) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || len(port) > 5 || !ValidHost(host) || strings.HasPrefix(string(text), "[") != strings.Contains(host, ":") {
		return fmt.Errorf("%s is not an address to connect to; write %s", quote(string(text)), a.Notation().Allowed)
	}
	*a = DialAddress{host, uint16(n)}
	return nil
}

// MarshalText writes the address, or nothing when it is not set.
func (a DialAddress) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns host:port, or "" when the address is not set.
func (a DialAddress) String() string {
	if a.Host == "" {
		return ""
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

var (
	dnsName  = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z_-]{0,61}[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z_-]{0,61}[0-9A-Za-z])?)*$`)
	allDigit = regexp.MustCompile(`(^|\.)(0[xX][0-9A-Fa-f]+|[0-9]+)$`)
)

// ValidHost reports whether host is an IP address without zone, or a DNS name
// in ASCII. A name that ends in a number is neither: resolvers take "1.2" or
// "0x7f.1" for an IPv4 address.
func ValidHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Zone() == ""
	}
	return len(host) <= 253 && dnsName.MatchString(host) && !allDigit.MatchString(host)
}

// HostPattern is an entry of an allow-list of hosts: a name, an IP address, or
// "*." and a name for everything below it.
type HostPattern string

// Notation describes host patterns.
func (HostPattern) Notation() Notation {
	return Notation{
		Name:     "host",
		Pattern:  `^((\*\.)?[0-9A-Za-z]([0-9A-Za-z._-]{0,251}[0-9A-Za-z])?|[0-9A-Fa-f:.]{2,45})$`,
		Allowed:  `a host name without scheme, port and path, such as api.company.com or "*.company.com"`,
		Examples: []string{"api.company.com", "*.company.com"},
	}
}

// UnmarshalText reads "api.company.com".
func (h *HostPattern) UnmarshalText(text []byte) error {
	s := string(text)
	rest, wild := strings.CutPrefix(s, "*.")
	_, err := netip.ParseAddr(rest)
	if !ValidHost(rest) || wild && err == nil {
		return h.Notation().wrong(s)
	}
	*h = HostPattern(strings.ToLower(s))
	return nil
}

// MarshalText writes the pattern.
func (h HostPattern) MarshalText() ([]byte, error) { return []byte(h), nil }
