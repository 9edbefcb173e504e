package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// hold binds a port without listening on it, so that Envoy, which shares ports with
// whoever shares them too, can listen there, and the kernel gives the port to nobody
// else: not between our choice and Envoy's start, nor while Envoy is started again.
// With port 0 it is one that nobody has. Close gives it back.
func hold(a netip.AddrPort) (netip.AddrPort, *os.File, error) {
	family, to, err := socketAddress(a)
	if err != nil {
		return a, nil, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return a, nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "port of "+a.String())
	err = errors.Join( // without SO_REUSEADDR, by which anybody could listen on what is only bound
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)),
		os.NewSyscallError("bind", unix.Bind(fd, to)),
	)
	if err != nil {
		return a, nil, errors.Join(err, f.Close())
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		return a, nil, errors.Join(os.NewSyscallError("getsockname", err), f.Close())
	}
	switch got := got.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(a.Addr(), uint16(got.Port)), f, nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(a.Addr(), uint16(got.Port)), f, nil
	}
	return a, nil, errors.Join(fmt.Errorf("a socket of an unknown family %T", got), f.Close())
}

func socketAddress(a netip.AddrPort) (family int, to unix.Sockaddr, err error) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4(), Port: int(a.Port())}, nil
	}
	six := &unix.SockaddrInet6{Addr: ip.As16(), Port: int(a.Port())}
	if ip.Zone() != "" {
		i, err := net.InterfaceByName(ip.Zone())
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", a, err)
		}
		six.ZoneId = uint32(i.Index)
	}
	return unix.AF_INET6, six, nil
}
