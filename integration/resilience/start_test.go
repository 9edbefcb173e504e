package resilience

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

// What cannot start says so in one line and ends with exit code 1.
func TestWhatCannotStartSaysWhy(t *testing.T) {
	envoy := testenv.Envoy(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	busy := ln.Addr().String()
	dir := t.TempDir()
	plain, broken, fifo := filepath.Join(dir, "plain"), filepath.Join(dir, "broken"), filepath.Join(dir, "fifo")
	for path, mode := range map[string]os.FileMode{plain: 0o600, broken: 0o700} {
		if err := os.WriteFile(path, []byte{0x7f, 'E', 'L', 'F', 0}, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	good := testenv.Config(t, "  - {name: a, url: \"http://127.0.0.1:9/\"}\n", "")
	const free = `{address: "127.0.0.1:0"}`
	at := strings.Index(good, "receipts: {path: ")
	old := good[at : at+strings.Index(good[at:], "\n")]
	for _, c := range []struct {
		name, from, to string
		envoy          string
		want           string
	}{
		{"the port of the admin interface is taken", "admin: " + free, fmt.Sprintf(`admin: {address: %q}`, busy), envoy, "admin: listen tcp " + busy},
		{"the port of ext_proc is taken", "extproc: " + free, fmt.Sprintf(`extproc: {address: %q}`, busy), envoy, "extproc: listen tcp " + busy},
		{"the port of xDS is taken", "xds: " + free, fmt.Sprintf(`xds: {address: %q}`, busy), envoy, "xds: listen tcp " + busy},
		{"the port for clients is taken", "listeners: [" + free, fmt.Sprintf(`listeners: [{address: %q}`, busy), envoy, "listeners[0]: listen tcp " + busy},
		{"the port of Envoy's admin interface is taken", `admin_address: "127.0.0.1:0"`, fmt.Sprintf(`admin_address: %q`, busy), envoy, "envoy.admin_address: listen tcp " + busy},
		{"there is no such Envoy", "", "", filepath.Join(dir, "nothing"), "nothing is not an executable file"},
		{"Envoy is not executable", "", "", plain, "plain is not an executable file"},
		{"Envoy is no program", "", "", broken, "exec format error"},
		{"receipts go to a folder that is missing", old, "receipts: {path: " + dir + "/no/receipts}", envoy, "receipts.path: open"},
		{"receipts go to a pipe that nobody reads", old, "receipts: {path: " + fifo + "}", envoy, "receipts.path: open"},
		{"the configuration is wrong", "xds: ", "xdss: ", envoy, `did you mean "xds"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sallyport.yaml")
			text := good
			if c.from != "" {
				text = strings.Replace(good, c.from, c.to, 1)
			}
			testenv.Write(t, path, text)
			p := testenv.Launch(t, testenv.Binary(t), "run", "-c", path, "--envoy", c.envoy)
			if code := exit(t, p); code != 1 {
				t.Errorf("exit code %d", code)
			}
			said := 0
			for line := range strings.SplitSeq(strings.TrimSpace(p.Text()), "\n") {
				if strings.HasPrefix(line, "sallyport: ") {
					said++
				}
			}
			if !strings.Contains(p.Text(), c.want) || said != 1 {
				t.Errorf("said %d times, and it is to hold %q:\n%s", said, c.want, p.Text())
			}
		})
	}
	p := testenv.Launch(t, testenv.Binary(t), "run", "-c", filepath.Join(dir, "no.yaml"))
	if code := exit(t, p); code != 1 || !strings.Contains(p.Text(), "no.yaml: cannot be read: no such file or directory") {
		t.Errorf("a configuration that is missing: %d %s", code, p.Text())
	}
}
