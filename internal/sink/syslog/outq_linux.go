package syslog

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged returns how many bytes the other side's kernel has not
// acknowledged.
func unacknowledged(c *net.TCPConn) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); e != nil {
		return 0, e
	}
	return n, err
}
