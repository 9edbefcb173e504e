package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// FreePort returns a port for a part that cannot say which one it was given, or
// is restarted on the same. Nobody else takes it while the test runs: it is none
// that the kernel gives to whoever asks for any, and no other test is given it.
func FreePort(t testing.TB) int {
	t.Helper()
	given, err := os.OpenFile(filepath.Join(os.TempDir(), "sallyport-ports"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = given.Close() }) // which gives the port back
	const first, last = 20_000, 32_000
	for range last - first {
		port := first + rand.IntN(last-first)
		lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: int64(port), Len: 1}
		if syscall.FcntlFlock(given.Fd(), unix.F_OFD_SETLK, &lock) != nil {
			continue
		}
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// FreeAddress is FreePort on 127.0.0.1.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}
