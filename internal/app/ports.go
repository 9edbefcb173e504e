package app

import (
	"fmt"
	"net"
	"net/netip"
	"os"
)

type listeners struct {
	judge, control, admin net.Listener
	held                  []*os.File // ports that our Envoy listens on
}

func (l *listeners) release() {
	for _, f := range l.held {
		_ = f.Close()
	}
}

// addresses are those in use, with real ports.
type addresses struct {
	judge, control, admin string
	mcp                   []netip.AddrPort
	egress                []netip.AddrPort
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
	var mcp, out []netip.AddrPort
	for _, l := range g.cfg.Listeners {
		mcp = append(mcp, l.Address.AddrPort)
	}
	for _, l := range g.cfg.Egress.Listeners {
		out = append(out, l.Address.AddrPort)
	}
	if a := g.cfg.Envoy.AdminAddress; g.o.Child && a.Port() != 0 {
		if _, err := probe(a.AddrPort); err != nil {
			return ln, fmt.Errorf("app: envoy.admin_address: %w", err)
		}
	}
	var err error
	if g.ports.mcp, err = ln.pick("listeners", mcp, g.o.Child); err == nil {
		g.ports.egress, err = ln.pick("egress.listeners", out, g.o.Child)
	}
	return ln, err
}

// pick replaces port 0 of Envoy's listeners, so that the ready line, and a second
// Envoy started later, know the port. With an Envoy of our own, the other ports must
// be free: two Envoys may listen on one port without either noticing, and would share
// its clients. Its ports are held for it, which only the user who runs both can share.
func (l *listeners) pick(name string, wanted []netip.AddrPort, child bool) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for i, a := range wanted {
		var err error
		if a.Port() == 0 && !child || a.Port() != 0 && child {
			a, err = probe(a)
		}
		if child && err == nil {
			var held *os.File
			if a, held, err = hold(a); err == nil {
				l.held = append(l.held, held)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("app: %s[%d]: %w", name, i, err)
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
