package xds

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
)

func many(t testing.TB, n int, url string) []registry.Server {
	t.Helper()
	servers := make([]registry.Server, n)
	for i := range servers {
		servers[i] = server(t, fmt.Sprintf("server-%04d", i), url)
		servers[i].Versions[0].Health.Disabled = i%10 != 0
	}
	return servers
}

func BenchmarkBuild2000Servers(b *testing.B) {
	servers := many(b, 2000, "http://127.0.0.1:9")
	view := registry.NewView(servers)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(view, DefaultSettings()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash2000Servers(b *testing.B) {
	r := build(b, many(b, 2000, "http://127.0.0.1:9"), nil)
	b.ReportAllocs()
	for b.Loop() {
		c, err := contentOf(r)
		if err != nil {
			b.Fatal(err)
		}
		_ = c.version()
	}
}

// Two thousand servers are served, and one that is added travels alone: its
// cluster and the table of routes.
func TestTwoThousandServersAndOneMore(t *testing.T) {
	up := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	e := adsEnvoy(t, p, "envoy-1")
	step := func(servers []registry.Server) (building, accepting time.Duration) {
		start := time.Now()
		r := build(t, servers, func(s *Settings) { *s = testSettings() })
		building = time.Since(start)
		start = time.Now()
		if err := p.Push(r); err != nil {
			t.Fatal(err)
		}
		settle(t, p, r)
		return building, time.Since(start)
	}
	servers := many(t, 2001, up.URL)
	building, accepting := step(append([]registry.Server(nil), servers[:2000]...))
	t.Logf("first: built in %v, accepted in %v", building, accepting)
	before := p.Status().Counters.Sent
	l := startLoad(t, "http://"+e.listener(t)+"/mcp/server-1999", "a /mcp")
	building, accepting = step(append([]registry.Server(nil), servers...))
	t.Logf("one more, under load: built in %v, accepted in %v", building, accepting)
	if n := p.Status().Counters.Sent - before; n != 2 {
		t.Errorf("%d resources were sent, want the cluster and the routes", n)
	}
	l.check(t)
	for _, name := range []string{"server-0000", "server-2000"} {
		if code, _, _ := get(t, "http://"+e.listener(t)+"/mcp/"+name); code != http.StatusOK {
			t.Errorf("%s: got %d", name, code)
		}
	}
}
