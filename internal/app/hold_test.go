package app

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// held holds a port until the test ends.
func held(t *testing.T, address string) (netip.AddrPort, *os.File) {
	t.Helper()
	a, f, err := hold(netip.MustParseAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return a, f
}

func TestAPortThatIsHeldForEnvoyGoesToNobodyElse(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(loopback, func(t *testing.T) {
			a, _ := held(t, loopback)
			if a.Port() == 0 {
				t.Fatal("no port was chosen")
			}
			if ln, err := net.Listen("tcp", a.String()); err == nil {
				_ = ln.Close()
				t.Error("somebody who shares no ports could listen there")
			}
			for range 200 {
				if other, _ := held(t, loopback); other == a {
					t.Fatalf("%s was given twice", a)
				}
			}
			again, f := held(t, a.String()) // which Envoy does, of the same user
			if err := unix.Listen(int(f.Fd()), 8); err != nil || again != a {
				t.Fatal(again, err)
			}
			c, err := net.Dial("tcp", a.String())
			if err != nil {
				t.Fatalf("what is only bound takes connections from who listens: %v", err)
			}
			_ = c.Close()
		})
	}
}
