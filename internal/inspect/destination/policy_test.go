package destination

import (
	"net/netip"
	"testing"
)

func TestOneEntryThatFitsWholeIsEnough(t *testing.T) {
	p := Policy{Entries: []Entry{
		{Host: "api.example"},
		{Host: "api.example", Ports: []int{8443}},
		{Host: "api.example", Ports: []int{80}, Schemes: []string{"http"}},
	}}
	for url, want := range map[string]bool{
		"https://api.example/": true, "https://api.example:8443/": true, "http://api.example/": true,
		"http://api.example:443/": false, "https://api.example:80/": false, "https://other.example/": false,
	} {
		if err := p.CheckURL(url); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestListedAddressesAreAdmittedButForMetadataServices(t *testing.T) {
	e := Entry{Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("::/0")}}
	for a, want := range map[string]bool{
		"127.0.0.2": true, "::ffff:127.0.0.2": true, "127.0.0.1": false, "::1": true, "169.254.169.254": false, "::ffff:169.254.169.254": false,
		"fe80::1": false, "64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::": false, "100.100.100.200": false, "fd00:ec2::254": false, "8.8.8.8": true,
		"fd00:ec2::23": false, "fd00:ec2:1::254": false, // credentials of pods, and where else that cloud serves its machines
		"::ffff:0:a9fe:a9fe": false, "64:ff9b:1::a9fe:a9fe": false, "64:ff9b:1:a9fe:a9:fe00::": false, "2001:0:1:2:3:4:5601:5601": false, "64:ff9b:1::808:808": true,
	} {
		if got := e.Admits(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}
