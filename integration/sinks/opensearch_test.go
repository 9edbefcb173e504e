package sinks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// startOpenSearch starts a node from jars: what its distribution would hold is
// made here. It does not run as root.
func startOpenSearch(t testing.TB) (url string) {
	t.Helper()
	all, port := jars(t, "opensearch"), testenv.FreePort(t)
	home, err := os.MkdirTemp("", "opensearch") //nolint:usetesting // a folder of t may be reached by its owner only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	for _, d := range []string{"config", "core", "data", "logs", "tmp", "plugins", "modules/transport-netty4"} {
		if err := os.MkdirAll(filepath.Join(home, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filepath.Glob(all + "/*.jar")
	if err != nil {
		t.Fatal(err)
	}
	for _, jar := range found {
		to := "core"
		if base := filepath.Base(jar); strings.HasPrefix(base, "netty-") || strings.HasPrefix(base, "transport-netty4") {
			to = "modules/transport-netty4"
		}
		b, err := os.ReadFile(jar)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, to, filepath.Base(jar)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("modules/transport-netty4/plugin-descriptor.properties", "name=transport-netty4\ndescription=transport\nversion=2.19.1\nopensearch.version=2.19.1\njava.version=11\nclassname=org.opensearch.transport.Netty4Plugin\n")
	write("modules/transport-netty4/plugin-security.policy", `grant {
  permission java.lang.RuntimePermission "getClassLoader"; permission java.lang.RuntimePermission "setContextClassLoader"; permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks"; permission java.net.SocketPermission "*", "accept,connect,listen,resolve"; permission java.net.NetPermission "getNetworkInformation";
  permission java.util.PropertyPermission "*", "read,write"; permission java.io.FilePermission "<<ALL FILES>>", "read"; permission java.lang.RuntimePermission "accessClassInPackage.*";
};
`)
	write("config/opensearch.yml", fmt.Sprintf("cluster.name: t\nnode.name: t\nnetwork.host: 127.0.0.1\nhttp.port: %d\ntransport.port: %d\ndiscovery.type: single-node\npath.data: %s/data\npath.logs: %s/logs\ncluster.routing.allocation.disk.threshold_enabled: false\n", port, testenv.FreePort(t), home, home))
	write("config/log4j2.properties", "status = error\nappender.console.type = Console\nappender.console.name = console\nappender.console.layout.type = PatternLayout\nappender.console.layout.pattern = %m%n\nrootLogger.level = warn\nrootLogger.appenderRef.console.ref = console\n")
	for _, d := range []string{"", "config", "core", "data", "logs", "tmp", "plugins", "modules", "modules/transport-netty4"} {
		if err := os.Chmod(filepath.Join(home, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + home + "/tmp", "-Djava.security.manager=allow", "-Dlog4j2.disable.jmx=true",
		"-Dopensearch.path.home=" + home, "-Dopensearch.path.conf=" + home + "/config", "-Dopensearch.distribution.type=tar", "-cp", home + "/core/*", "org.opensearch.bootstrap.OpenSearch"}
	if os.Getuid() == 0 {
		args = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, args...)
	}
	testenv.Launch(t, args[0], args[1:]...)
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	testenv.Eventually(t, 3*time.Minute, "OpenSearch", func() bool { code, _ := get(url + "/_cluster/health"); return code == http.StatusOK })
	return url
}

func get(url string) (code int, body string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestOpenSearchHasEveryReceiptOnceThoughTheyCameTwice(t *testing.T) {
	testenv.Heavy(t)
	url := startOpenSearch(t)
	g := start(t, fmt.Sprintf(`elasticsearch: {url: %q, index: mcp}`, url))
	g.receipts(t, 100)
	g.delivered(t)
	resp, err := http.Post(g.admin+"/v1/sinks/replay", "application/json", strings.NewReader(`{"sink":"real","from":"2020-01-01T00:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	g.n = 201 // all of it again, and the receipt of this command
	g.delivered(t)
	if code, body := get(url + "/mcp-*/_refresh"); code != http.StatusOK {
		t.Fatal(body)
	}
	count := func(query string) (n int) {
		_, body := get(url + "/mcp-*/_count?q=" + query)
		var r struct{ Count int }
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err, body)
		}
		return r.Count
	}
	if n := count("action:allow"); n != 101 {
		t.Errorf("%d receipts, want 101", n)
	}
	if n := count("record:segment"); n == 0 {
		t.Error("no records")
	}
	if _, body := get(url + "/mcp-*/_mapping"); !strings.Contains(body, `"date_detection":false`) || !strings.Contains(body, `"id":{"type":"keyword"`) {
		t.Errorf("what callers choose decides on the mapping: %s", body)
	}
}
