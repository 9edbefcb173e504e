package destination

import "net/netip"

// kind says what an address belongs to.
type kind uint8

// The kinds, from harmless to never.
const (
	global  kind = iota
	private      // of some organisation's own network
	never        // the machine itself, its link, its cloud's metadata, groups and reserved ranges
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

var (
	reserved = prefixes(
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32", "100.100.100.200/32",
		"::/128", "::1/128", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16",
		"fd00:ec2::/32", "fd20:ce::254/128", "::ffff:0:0:0/96",
	)
	internal = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
	assigned = netip.MustParsePrefix("2000::/3")

	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	nat64Own  = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
	// SIIT (RFC 7915), which is among what is never a destination by itself.
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	compat     = netip.MustParsePrefix("::/96")
)

// kindOf classifies an address; one that carries another, as mapped, translated
// and tunnelled ones do, is what the other one is.
func kindOf(a netip.Addr) kind {
	a = a.Unmap().WithZone("")
	for _, p := range reserved {
		if p.Contains(a) {
			return never
		}
	}
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a), compat.Contains(a):
			return kindOf(netip.AddrFrom4([4]byte(b[12:16])))
		case sixToFour.Contains(a):
			return kindOf(netip.AddrFrom4([4]byte(b[2:6])))
		case teredo.Contains(a), nat64Own.Contains(a):
			return never // what they carry depends on the network
		}
	}
	for _, p := range internal {
		if p.Contains(a) {
			return private
		}
	}
	if a.Is6() && !assigned.Contains(a) {
		return never
	}
	return global
}
