package destination

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Entry is one line of an allow-list.
type Entry struct {
	Host      string // a name, an IP address, or *.name for every name below
	Ports     []int  // 443 when empty
	Schemes   []string
	Private   bool           // the name may lead to private addresses
	Addresses []netip.Prefix // to which it may lead as well, whatever they are, but for metadata services
}

// Policy says where data may go. An empty list lets everything pass but what
// is never a destination.
type Policy struct {
	Entries []Entry
	Open    bool // no allow-list: everything but what is never one
}

// Check judges a destination by its text: one entry that fits it whole is enough.
// The entry says what its addresses may be, once they are known.
func (p *Policy) Check(d Destination) (*Entry, error) {
	if p.Open {
		if d.IP.IsValid() && metadata(d.IP) || metadataName(d.Host) {
			return nil, fmt.Errorf("destination: %s is a metadata service", d.Host)
		}
		return nil, nil
	}
	var first error
	for i := range p.Entries {
		e := &p.Entries[i]
		if !e.matches(d.Host) {
			continue
		}
		err := e.check(d)
		if err == nil {
			return e, nil
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return nil, first
	}
	return nil, fmt.Errorf("destination: %s is not on the allow-list", d.Host)
}

// check judges all but the host.
func (e *Entry) check(d Destination) error {
	if !slices.Contains(e.schemes(), d.Scheme) && d.Scheme != "" {
		return fmt.Errorf("destination: scheme %q is not allowed for %s", d.Scheme, d.Host)
	}
	ports := e.Ports
	if len(ports) == 0 {
		ports = []int{443}
	}
	if d.Port != 0 && !slices.Contains(ports, d.Port) {
		return fmt.Errorf("destination: port %d of %s is not allowed", d.Port, d.Host)
	}
	if d.IP.IsValid() && !e.Admits(d.IP) {
		return fmt.Errorf("destination: %s is no public address", d.Host)
	}
	return nil
}

// CheckURL judges a URL by its text.
func (p *Policy) CheckURL(url string) error {
	d, err := Parse(url)
	if err == nil {
		_, err = p.Check(d)
	}
	return err
}

// HostPattern brings a host, or *.name for every name below one, into the form
// that an [Entry] holds.
func HostPattern(host string) (string, error) {
	name, wild := strings.CutPrefix(host, "*.")
	d, err := ParseHost(name)
	if err != nil || d.Port != 0 || strings.ContainsAny(name, "/?#") || wild && d.IP.IsValid() {
		return "", fmt.Errorf("%q is not a host; write api.company.com or *.company.com, without scheme, port and path", host)
	}
	if wild {
		return "*." + d.Host, nil
	}
	return d.Host, nil
}

// Internal reports whether a name of the guide's list, which has no word for it,
// says that it leads inside: below .internal, which is for private networks
// only, or with a label that begins with "internal" or "intranet".
func Internal(host string) bool {
	for _, label := range strings.Split(host, ".") {
		if strings.HasPrefix(label, "internal") || strings.HasPrefix(label, "intranet") {
			return true
		}
	}
	return false
}

func (e *Entry) schemes() []string {
	if len(e.Schemes) == 0 {
		return []string{"https"}
	}
	return e.Schemes
}

func (e *Entry) matches(host string) bool {
	if base, ok := strings.CutPrefix(e.Host, "*."); ok {
		return strings.HasSuffix(host, "."+base)
	}
	return host == e.Host
}

// Admits reports whether an address may stand behind the entry's name.
func (e *Entry) Admits(a netip.Addr) bool {
	k := kindOf(a)
	return k == global || k == private && e.Private || e.lists(a)
}

func (e *Entry) lists(a netip.Addr) bool {
	if len(e.Addresses) == 0 || metadata(a) {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Forbids says why a name must not be used that leads to these addresses, or
// nothing: every address counts, because a client takes any of them.
func (e *Entry) Forbids(host string, found []netip.Addr) string {
	if len(found) == 0 {
		return host + " does not resolve"
	}
	for _, a := range found {
		if !e.Admits(a) {
			return host + " leads to " + a.String()
		}
	}
	return ""
}

var link = prefixes("169.254.0.0/16", "fd00:ec2::/32", "168.63.129.16/32", "192.0.0.192/32", "100.100.100.200/32", "fd20:ce::254/128", "fe80::/10")

// metadata reports whether a is where clouds serve credentials to machines, or carries
// such an address by any of the ways that are known.
func metadata(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	is := func(a netip.Addr) bool {
		return slices.ContainsFunc(link, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if is(a) || a.Is4() {
		return is(a)
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case nat64.Contains(a), compat.Contains(a), translated.Contains(a):
		return is(last)
	case sixToFour.Contains(a):
		return is(netip.AddrFrom4([4]byte(b[2:6])))
	case nat64Own.Contains(a): // the network's prefix is of 48 or 96 bits (RFC 6052, 2.2)
		return is(last) || is(netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}))
	case teredo.Contains(a): // RFC 4380, 4
		return is(netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return false
}

func metadataName(host string) bool {
	switch host {
	case "metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal", "metadata.tencentyun.com":
		return true
	}
	return false
}
