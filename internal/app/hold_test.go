package app

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAPortThatIsHeldForEnvoyGoesToNobodyElse(t *testing.T) {
	for _, any := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, held, err := hold(netip.MustParseAddrPort(any))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if a.Port() == 0 {
			t.Fatal("no port was chosen")
		}
		if ln, err := net.Listen("tcp", a.String()); err == nil {
			_ = ln.Close()
			t.Errorf("%s: somebody who shares no ports could listen there", a)
		}
		for range 200 {
			other, file, err := hold(netip.MustParseAddrPort(any))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if other == a {
				t.Fatalf("%s was given twice", a)
			}
		}
		// Envoy does this, of the same user.
		again, second, err := hold(a)
		if err != nil || again != a {
			t.Fatal(again, err)
		}
		if err := unix.Listen(int(second.Fd()), 8); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", a.String())
		if err != nil {
			t.Fatalf("what is only bound takes connections from who listens: %v", err)
		}
		_, _ = c.Close(), second.Close()
	}
}
