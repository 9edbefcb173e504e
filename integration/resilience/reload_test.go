package resilience

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

const many = 2000

// file declares one server in a registry directory.
func file(t testing.TB, dir, name, url string) {
	t.Helper()
	testenv.Write(t, filepath.Join(dir, name+".yaml"), "name: "+name+"\nurl: "+url+"\nhealth_check: {disabled: true}\n")
}

func timed(t testing.TB, what string, ok func() bool) {
	t.Helper()
	start := time.Now()
	testenv.Eventually(t, time.Minute, what, ok)
	t.Logf("%s: serving %v after the file changed", what, time.Since(start).Round(time.Millisecond))
}

func TestChangesAmongTwoThousandServersLoseNoRequest(t *testing.T) {
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	dir := t.TempDir()
	for i := range many - 3 {
		file(t, dir, fmt.Sprintf("server-%04d", i), a.url)
	}
	file(t, dir, "stays", a.url)
	file(t, dir, "moves", a.url)
	file(t, dir, "leaves", a.url)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, testenv.Config(t, "", "  []\nregistry: {directory: "+dir+"}\n"))
	testenv.Binary(t) // building it does not count
	start := time.Now()
	g := testenv.StartFile(t, path)
	t.Logf("%d servers: ready after %v", many, time.Since(start).Round(time.Millisecond))
	if n := statusOf(t, g.Admin).Servers; n != many {
		t.Fatalf("%d servers", n)
	}
	stays := startLoad(t, g.MCP+"/mcp/stays", 2, served("a"))
	moves := startLoad(t, g.MCP+"/mcp/moves", 2, served("a", "b"))
	leaves := startLoad(t, g.MCP+"/mcp/leaves", 1, func(r reply) string {
		if reason, own := r.refusal(); reason == "unknown_server" && own && r.status == http.StatusNotFound {
			return "unknown_server"
		}
		return served("a")(r)
	})
	one := http.DefaultClient
	for i := range 3 {
		name := fmt.Sprintf("added-%d", i)
		file(t, dir, name, b.url)
		timed(t, "adding", func() bool { return call(one, g.MCP+"/mcp/"+name, "echo").from() == "b" })
		to := []*upstream{b, a}[i%2]
		file(t, dir, "moves", to.url)
		timed(t, "moving", func() bool { return call(one, g.MCP+"/mcp/moves", "echo").from() == []string{"b", "a"}[i%2] })
		if err := os.Remove(filepath.Join(dir, name+".yaml")); err != nil {
			t.Fatal(err)
		}
		timed(t, "removing", func() bool {
			r := call(one, g.MCP+"/mcp/"+name, "echo")
			reason, own := r.refusal()
			return r.status == http.StatusNotFound && reason == "unknown_server" && own
		})
	}
	if err := os.Remove(filepath.Join(dir, "leaves.yaml")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the end of a server in use", func() bool { return leaves.count("unknown_server") > 10 })
	file(t, dir, "leaves", a.url)
	before := leaves.count("a")
	testenv.Eventually(t, time.Minute, "its return", func() bool { return leaves.count("a") > before+10 })
	stays.check(t, "a neighbour")
	moves.check(t, "a server that moves")
	leaves.check(t, "a server that goes and comes back")
}

func TestBadConfigurationsLeaveTheGoodOneServing(t *testing.T) {
	a, dir := startUpstream(t, "a"), t.TempDir()
	file(t, dir, "stays", a.url)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	text := testenv.Config(t, "", "  []\nregistry: {directory: "+dir+"}\n")
	testenv.Write(t, path, text)
	g := testenv.StartFile(t, path)
	l := startLoad(t, g.MCP+"/mcp/stays", 3, served("a"))
	// wrong waits until status and metrics show what is wrong; mended for the opposite.
	wrong := func(want ...string) {
		t.Helper()
		testenv.Eventually(t, time.Minute, fmt.Sprintf("an error with %q", want), func() bool {
			got := statusOf(t, g.Admin).Config.Error
			for _, w := range want {
				if !strings.Contains(got, w) {
					return false
				}
			}
			return true
		})
		t.Log(statusOf(t, g.Admin).Config.Error)
		if !statusOf(t, g.Admin).Ready || metric(g.Admin, "mcp_gateway_config_rejected") != 1 {
			t.Error("not ready, or the metric says that all is well")
		}
	}
	mended := func() {
		t.Helper()
		testenv.Eventually(t, time.Minute, "the repair", func() bool {
			s := statusOf(t, g.Admin)
			return s.Config.Error == "" && s.Ready && metric(g.Admin, "mcp_gateway_config_rejected") == 0
		})
	}
	remove := func(p string) {
		t.Helper()
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	bad := filepath.Join(dir, "bad.yaml")

	testenv.Write(t, bad, "name: bad\nurl: "+a.url+"\nurll: x\n")
	wrong("bad.yaml:3:1", "urll")
	testenv.Eventually(t, time.Minute, "the log to tell", func() bool { return strings.Contains(g.Log(), "bad.yaml:3:1") })
	file(t, dir, "bad", a.url) // repaired
	mended()
	testenv.Eventually(t, time.Minute, "the repaired server", func() bool { return call(http.DefaultClient, g.MCP+"/mcp/bad", "echo").from() == "a" })

	testenv.Write(t, filepath.Join(dir, "double.yaml"), "name: stays\nurl: "+a.url+"\n")
	wrong(".yaml:1:", "stays")
	remove(filepath.Join(dir, "double.yaml"))
	mended()

	remove(path)
	wrong("sallyport.yaml", "cannot be read")
	testenv.Write(t, path, text)
	mended()

	// Only Envoy can know this one: the folder of its access log is missing.
	logs := filepath.Join(t.TempDir(), "later")
	testenv.Write(t, path, strings.Replace(text, "envoy: {", "envoy: {access_log: "+logs+"/access.log, ", 1))
	wrong("Envoy rejected", "unable to open file", logs)
	if n := metric(g.Admin, "mcp_gateway_xds_nacks_total"); n < 1 {
		t.Errorf("%v NACKs counted", n)
	}
	file(t, dir, "bad", a.url+"/elsewhere") // still nothing of it may go out
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := g.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	mended()
	testenv.Eventually(t, time.Minute, "an access log", func() bool {
		b, err := os.ReadFile(logs + "/access.log")
		return err == nil && len(b) > 0
	})

	testenv.Write(t, path, strings.Replace(text, "envoy: {", "envoy: {access_log: "+logs+"/no/access.log, ", 1))
	wrong("Envoy rejected", "unable to open file")
	testenv.Write(t, path, text)
	mended()
	l.check(t, "a neighbour of all this")
	if strings.Count(g.Log(), "bad.yaml:3:1") > 1 {
		t.Error("the log tells of the bad file again and again")
	}
}

func TestSIGHUPReloads(t *testing.T) {
	a := startUpstream(t, "a")
	g := testenv.Start(t, "  - {name: a, url: "+a.url+"}\n", "")
	b, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Write(t, g.Config, string(b)+"  - {name: b, url: "+a.url+"}\n")
	if err := g.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the new server", func() bool { return call(http.DefaultClient, g.MCP+"/mcp/b", "echo").from() == "a" })
}
