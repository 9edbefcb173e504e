package audit

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// rsyslogd finds the daemon and what it needs: of the system, or as `make
// rsyslog` unpacks it.
func rsyslogd(t testing.TB) (path, modules string, env []string) {
	t.Helper()
	if path, err := exec.LookPath("rsyslogd"); err == nil {
		found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_gtls.so")
		if len(found) > 0 {
			return path, filepath.Dir(found[0]), nil
		}
	}
	root := filepath.Join(testenv.Root(), ".tools/rsyslog")
	found, _ := filepath.Glob(root + "/usr/lib/*/rsyslog/lmnsd_gtls.so")
	if len(found) == 0 {
		testenv.Missing(t, "rsyslog with rsyslog-gnutls (make rsyslog)")
	}
	return root + "/usr/sbin/rsyslogd", filepath.Dir(found[0]), []string{"LD_LIBRARY_PATH=" + filepath.Dir(filepath.Dir(found[0]))}
}

// certificates writes a certificate for 127.0.0.1 and its key as PEM.
func certificates(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	b, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testenv.Write(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	testenv.Write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})))
	return cert, key
}

// TestRsyslogGetsCEFOverTLS has a real rsyslog write what it gets, stops it
// without a word in between, and starts it again.
func TestRsyslogGetsCEFOverTLS(t *testing.T) {
	daemon, modules, env := rsyslogd(t)
	dir, port := t.TempDir(), testenv.FreePort(t)
	cert, key := certificates(t, dir)
	out, conf := filepath.Join(dir, "received.log"), filepath.Join(dir, "rsyslog.conf")
	testenv.Write(t, conf, fmt.Sprintf(`global(workDirectory=%q maxMessageSize="64k" DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile=%q DefaultNetstreamDriverCertFile=%q DefaultNetstreamDriverKeyFile=%q)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="raw" type="string" string="%%rawmsg%%\n")
ruleset(name="receipts") { action(type="omfile" file=%q template="raw" asyncWriting="off") }
input(type="imtcp" address="127.0.0.1" port="%d" ruleset="receipts" SupportOctetCountedFraming="on")
`, dir, cert, cert, key, out, port))
	start := func() *testenv.Process {
		p := testenv.Launch(t, "/usr/bin/env", append(env, daemon, "-n", "-f", conf, "-i", filepath.Join(dir, "pid"), "-M", modules)...)
		testenv.Eventually(t, time.Minute, "rsyslog", func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
		return p
	}
	daemonProcess := start()
	p := startPlant(t, fmt.Sprintf(`sinks: [{name: siem, batch: {wait: 20ms}, retry_at_most: 300ms, syslog: {address: "127.0.0.1:%d", hostname: gw1, tls: {ca: "file:%s"}}}]
`, port, cert))
	p.calls(t, 10)
	p.caughtUp(t, "siem")
	if err := daemonProcess.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-daemonProcess.Ended
	p.calls(t, 10)
	start()
	p.calls(t, 10)
	p.caughtUp(t, "siem")
	got := newCollected("siem")
	testenv.Eventually(t, time.Minute, "60 receipts", func() bool {
		b, err := os.ReadFile(out)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(b)) {
			got.take(line)
		}
		return len(got.seen) == 60
	})
	for _, line := range linesOf(t, out) {
		if !strings.HasPrefix(line, "<110>1 ") || !strings.Contains(line, " gw1 sallyport ") || !strings.Contains(line, " - CEF:0|Sallyport|Sallyport|1|") {
			t.Fatalf("%s", line)
		}
	}
}
