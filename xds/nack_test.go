package xds

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	envoymatcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/sallyport/sallyport/internal/registry"
)

// broken is a configuration that passes our checks and not Envoy's: a regular
// expression that does not compile.
func broken(t testing.TB, s Settings, servers ...registry.Server) *Resources {
	t.Helper()
	r := build(t, servers, func(set *Settings) { *set = s })
	host := r.Routes[0].GetVirtualHosts()[0]
	host.Matcher = nil
	host.Routes = []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &envoymatcherv3.RegexMatcher{Regex: "["}}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200}},
	}}
	return r
}

func TestARejectedConfigurationGivesWayToTheLastGoodOne(t *testing.T) {
	a, b := upstream(t, "a"), upstream(t, "b")
	p := startPlane(t, "127.0.0.1:0", quick)
	e := adsEnvoy(t, p, "envoy-1")
	set := testSettings()
	good := build(t, []registry.Server{server(t, "a", a.URL)}, func(s *Settings) { *s = set })
	if err := p.Push(good); err != nil {
		t.Fatal(err)
	}
	settle(t, p, good)
	base := "http://" + e.listener(t)
	l := startLoad(t, base+"/mcp/a", "a /mcp")

	bad := broken(t, set, server(t, "a", a.URL), server(t, "b", b.URL))
	if err := p.Push(bad); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the way back", func() bool {
		s := p.Status()
		return s.Counters.Reverts == 1 && s.Version == s.Good && s.Nodes[0].UpToDate && s.Step == ""
	})
	s := p.Status()
	if s.Counters.NACKs != 1 || len(s.NACKs) != 1 || s.NACKs[0].Kind != "routes" || s.NACKs[0].Node != "envoy-1" || !strings.Contains(s.NACKs[0].Message, "missing ]") {
		t.Errorf("status %+v", s)
	}
	if s.Nodes[0].Rejected == nil || !s.Ready {
		t.Errorf("node %+v ready %v", s.Nodes[0], s.Ready)
	}
	if err := p.Push(bad); !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "missing ]") {
		t.Errorf("pushed again: %v", err)
	}

	better := build(t, []registry.Server{server(t, "a", a.URL), server(t, "b", b.URL)}, func(s *Settings) { *s = set })
	if err := p.Push(better); err != nil {
		t.Fatal(err)
	}
	settle(t, p, better)
	if n := p.Status().Counters.NACKs; n != 1 {
		t.Errorf("%d NACKs, the rejected configuration went out again", n)
	}
	if code, body, _ := get(t, base+"/mcp/b"); code != http.StatusOK || body != "b /mcp" {
		t.Errorf("after the repair: %d %q", code, body)
	}
	l.check(t)
}

func TestARejectedClusterIsTakenBackAtOnce(t *testing.T) {
	a := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", patient())
	e := adsEnvoy(t, p, "envoy-1")
	set := testSettings()
	good := build(t, []registry.Server{server(t, "a", a.URL)}, func(s *Settings) { *s = set })
	if err := p.Push(good); err != nil {
		t.Fatal(err)
	}
	settle(t, p, good)
	bad := build(t, []registry.Server{server(t, "a", a.URL), server(t, "b", a.URL)}, func(s *Settings) { *s = set })
	bad.Clusters[1].LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().GetAddress().GetSocketAddress().Address = "not-an-address"
	if err := p.Push(bad); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the way back", func() bool {
		s := p.Status()
		return s.Counters.Reverts == 1 && s.Nodes[0].UpToDate && s.Step == "" && s.Version == s.Good
	})
	s := p.Status()
	if s.NACKs[0].Kind != "clusters" || s.Resources["clusters"] != 1 {
		t.Errorf("status %+v", s)
	}
	if code, body, _ := get(t, "http://"+e.listener(t)+"/mcp/b"); code != http.StatusNotFound {
		t.Errorf("a route of the rejected configuration is in force: %d %q", code, body)
	}
}

// A certificate file that is missing must not take other servers away.
func TestAMissingCertificateFileIsRejectedAndTakenBack(t *testing.T) {
	a := upstream(t, "a")
	set := testSettings()
	base, _, p := serveView(t, set, server(t, "a", a.URL))
	s := server(t, "b", a.URL)
	s.Versions[0].Scheme, s.Versions[0].TLS.CAFile = "https", "/nonexistent/ca.pem"
	l := startLoad(t, base+"/mcp/a", "a /mcp")
	push(t, p, set, server(t, "a", a.URL), s)
	eventually(t, "the way back", func() bool {
		s := p.Status()
		return s.Counters.Reverts == 1 && s.Nodes[0].UpToDate && s.Step == "" && s.Version == s.Good
	})
	if n := p.Status().NACKs[0]; n.Kind != "secrets" || !strings.Contains(n.Message, "/nonexistent/ca.pem") {
		t.Errorf("%+v", n)
	}
	l.check(t)
}

func TestARejectedFirstConfigurationIsReplacedByTheNext(t *testing.T) {
	a := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	e := adsEnvoy(t, p, "envoy-1")
	set := testSettings()
	if err := p.Push(broken(t, set, server(t, "a", a.URL))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rejection", func() bool { return p.Status().Counters.NACKs == 1 })
	if s := p.Status(); s.Ready || s.Good != "" || s.Counters.Reverts != 0 {
		t.Errorf("status %+v", s)
	}
	push(t, p, set, server(t, "a", a.URL))
	eventually(t, "readiness", p.Ready)
	if code, _, _ := get(t, "http://"+e.listener(t)+"/mcp/a"); code != http.StatusOK {
		t.Errorf("got %d", code)
	}
}

// What Envoy missed may lie outside the configuration: once that is mended,
// the very same configuration must have another chance.
func TestAForgivenConfigurationIsTriedAgain(t *testing.T) {
	a := upstream(t, "a")
	set := testSettings()
	base, _, p := serveView(t, set, server(t, "a", a.URL))
	set.AccessLog = filepath.Join(t.TempDir(), "later", "access.log")
	r := build(t, []registry.Server{server(t, "a", a.URL)}, func(s *Settings) { *s = set })
	version, err := r.Version()
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, base+"/mcp/a", "a /mcp")
	if err := p.Push(r); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the way back", func() bool {
		s := p.Status()
		return s.Counters.Reverts == 1 && s.Nodes[0].UpToDate && s.Step == "" && s.Version == s.Good
	})
	if err := os.Mkdir(filepath.Dir(set.AccessLog), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Push(r); !errors.Is(err, ErrRejected) {
		t.Errorf("pushed again without being forgiven: %v", err)
	}
	p.Forgive(version)
	if err := p.Push(r); err != nil {
		t.Fatal(err)
	}
	settle(t, p, r)
	l.check(t)
}
