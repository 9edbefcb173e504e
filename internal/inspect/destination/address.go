package destination

import "net/netip"

// Kind says what an address belongs to.
type Kind uint8

// The kinds, from harmless to never.
const (
	Global  Kind = iota
	Private      // of some organisation's own network
	Never        // the machine itself, its link, its cloud's metadata, groups and reserved ranges
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

var (
	never = prefixes(
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32", "100.100.100.200/32",
		"::/128", "::1/128", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16",
		"fd00:ec2::/32", "fd20:ce::254/128", "::ffff:0:0:0/96",
	)
	private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
	global6 = netip.MustParsePrefix("2000::/3")

	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	nat64Own  = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
	// SIIT (RFC 7915), which is among what is never a destination by itself.
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	compat     = netip.MustParsePrefix("::/96")
)

// KindOf classifies an address; one that carries another, as mapped, translated
// and tunnelled ones do, is what the other one is.
func KindOf(a netip.Addr) Kind {
	a = a.Unmap().WithZone("")
	for _, p := range never {
		if p.Contains(a) {
			return Never
		}
	}
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a), compat.Contains(a):
			return KindOf(netip.AddrFrom4([4]byte(b[12:16])))
		case sixToFour.Contains(a):
			return KindOf(netip.AddrFrom4([4]byte(b[2:6])))
		case teredo.Contains(a), nat64Own.Contains(a):
			return Never // what they carry depends on the network
		}
	}
	for _, p := range private {
		if p.Contains(a) {
			return Private
		}
	}
	if a.Is6() && !global6.Contains(a) {
		return Never
	}
	return Global
}
