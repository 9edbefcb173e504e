package notation

import (
	"fmt"
	"net/netip"
)

// Network is a range of IP addresses, or one.
type Network struct{ netip.Prefix }

// Notation describes networks.
func (Network) Notation() Notation {
	return Notation{
		Name:     "network",
		Pattern:  `^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$`,
		Allowed:  `an IP address, or a range such as 10.20.0.0/16 or fd00::/8`,
		Examples: []string{"10.20.0.0/16", "10.20.0.5"},
	}
}

// UnmarshalText reads "10.20.0.0/16" or "10.20.0.5".
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return n.Notation().wrong(s)
	}
	if p != p.Masked() {
		return fmt.Errorf("%s has bits beyond its length; write %s", quote(s), p.Masked())
	}
	n.Prefix = p
	return nil
}

// MarshalText writes the range.
func (n Network) MarshalText() ([]byte, error) {
	if !n.IsValid() {
		return nil, nil
	}
	return n.Prefix.MarshalText()
}
