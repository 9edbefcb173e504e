package app

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/sallyport/sallyport/internal/config"
)

type listeners struct{ judge, control, admin net.Listener }

// addresses are those in use, with real ports.
type addresses struct {
	judge, control, admin string
	mcp                   []netip.AddrPort
}

func (g *Gateway) listen() (listeners, error) {
	var ln listeners
	for _, l := range []struct {
		name, address string
		to            *net.Listener
		chosen        *string
	}{
		{"extproc", g.cfg.ExtProc.Address.String(), &ln.judge, &g.ports.judge},
		{"xds", g.cfg.XDS.Address.String(), &ln.control, &g.ports.control},
		{"admin", g.cfg.Admin.Address.String(), &ln.admin, &g.ports.admin},
	} {
		got, err := net.Listen("tcp", l.address)
		if err != nil {
			return ln, fmt.Errorf("app: %s: %w", l.name, err)
		}
		*l.to, *l.chosen = got, got.Addr().String()
	}
	mcp, err := pickPorts(g.cfg, g.o.Child)
	g.ports.mcp = mcp
	return ln, err
}

// pickPorts replaces port 0 of Envoy's listeners, so that the ready line, and
// a second Envoy started later, know the port. With an Envoy of our own, the
// other ports must be free: two Envoys may listen on one port without either
// noticing, and would share its clients.
func pickPorts(cfg *config.Config, child bool) ([]netip.AddrPort, error) {
	if a := cfg.Envoy.AdminAddress; child && a.Port() != 0 {
		if _, err := probe(a.AddrPort); err != nil {
			return nil, fmt.Errorf("app: envoy.admin_address: %w", err)
		}
	}
	var out []netip.AddrPort
	for i, l := range cfg.Listeners {
		a := l.Address.AddrPort
		if child || a.Port() == 0 {
			var err error
			if a, err = probe(a); err != nil {
				return nil, fmt.Errorf("app: listeners[%d]: %w", i, err)
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// probe listens for a moment, and returns the address with a port that is free.
func probe(a netip.AddrPort) (netip.AddrPort, error) {
	ln, err := net.Listen("tcp", a.String())
	if err != nil {
		return a, err
	}
	got := ln.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(got.Addr().Unmap(), got.Port()), ln.Close()
}
