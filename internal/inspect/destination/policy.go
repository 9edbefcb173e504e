package destination

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Entry is one line of an allow-list.
type Entry struct {
	Host    string // a name, an IP address, or *.name for every name below
	Ports   []int  // 443 when empty
	Schemes []string
	Private bool // the name may lead to private addresses
}

// Policy says where data may go. An empty list lets everything pass but what
// is never a destination.
type Policy struct {
	Entries []Entry
	Open    bool // no allow-list: everything but Never
}

// Check judges a destination by its text. The entry says what its addresses may
// be, once they are known.
func (p *Policy) Check(d Destination) (*Entry, error) {
	if p.Open {
		if d.IP.IsValid() && metadata(d.IP) || metadataName(d.Host) {
			return nil, fmt.Errorf("destination: %s is a metadata service", d.Host)
		}
		return nil, nil
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		if !e.matches(d.Host) {
			continue
		}
		if !slices.Contains(e.schemes(), d.Scheme) && d.Scheme != "" {
			return nil, fmt.Errorf("destination: scheme %q is not allowed for %s", d.Scheme, d.Host)
		}
		ports := e.Ports
		if len(ports) == 0 {
			ports = []int{443}
		}
		if d.Port != 0 && !slices.Contains(ports, d.Port) {
			return nil, fmt.Errorf("destination: port %d of %s is not allowed", d.Port, d.Host)
		}
		if d.IP.IsValid() && !e.Admits(d.IP) {
			return nil, fmt.Errorf("destination: %s is no public address", d.Host)
		}
		return e, nil
	}
	return nil, fmt.Errorf("destination: %s is not on the allow-list", d.Host)
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
	k := KindOf(a)
	return k == Global || k == Private && e.Private
}

var link = prefixes("169.254.0.0/16", "fd00:ec2::254/128", "168.63.129.16/32", "192.0.0.192/32", "100.100.100.200/32", "fd20:ce::254/128", "fe80::/10")

// metadata reports whether a is where clouds serve credentials to machines.
func metadata(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	b := a.As16()
	if a.Is6() && (nat64.Contains(a) || compat.Contains(a)) {
		a = netip.AddrFrom4([4]byte(b[12:16]))
	}
	if sixToFour.Contains(a) {
		a = netip.AddrFrom4([4]byte(b[2:6]))
	}
	return slices.ContainsFunc(link, func(p netip.Prefix) bool { return p.Contains(a) })
}

func metadataName(host string) bool {
	switch host {
	case "metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal", "metadata.tencentyun.com":
		return true
	}
	return false
}
