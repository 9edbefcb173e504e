package xds

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/internal/registry"
)

var update = flag.Bool("update", false, "rewrite testdata/out")

func plain(name string, port uint16) registry.Server {
	return registry.Server{Name: name, Versions: []registry.Version{{
		Name: "default", Weight: 1, Scheme: "http", Path: "/mcp",
		Endpoints: []registry.Endpoint{{Host: "127.0.0.1", Port: port}},
	}}}
}

// goldens are configurations worth reading whole.
var goldens = []struct {
	name    string
	servers []registry.Server
	adjust  func(*Settings)
}{
	{name: "nothing-registered"},
	{name: "one-server", servers: []registry.Server{plain("everything", 39102)}},
	{name: "no-ext-proc", servers: []registry.Server{plain("everything", 39102)}, adjust: func(s *Settings) {
		s.NoExtProc = true
		s.AccessLog = "stdout"
	}},
	{name: "request-only-over-a-socket", servers: []registry.Server{plain("everything", 39102)}, adjust: func(s *Settings) {
		s.ExtProc = "unix:/run/sallyport/ext_proc.sock"
		s.Phases = Phases{RequestBody: true}
		s.AccessLog = "/dev/stderr"
		s.Listeners = append(s.Listeners, Listener{Name: "mcp6", Address: "::1", Port: 8080})
	}},
	{name: "listeners-with-tls", adjust: func(s *Settings) {
		s.Listeners = []Listener{
			{Name: "open", Address: "0.0.0.0", Port: 8443, TLS: &ListenerTLS{CertFile: "/etc/sallyport/tls.pem", KeyFile: "/etc/sallyport/tls.key"}},
			{Name: "mutual", Address: "0.0.0.0", Port: 8444, TLS: &ListenerTLS{CertFile: "/etc/sallyport/tls.pem", KeyFile: "/etc/sallyport/tls.key", ClientCAFile: "/etc/sallyport/clients.pem"}},
		}
	}},
	{name: "listeners-of-a-workload", adjust: func(s *Settings) {
		s.Workload = &Workload{TrustDomain: "company.example", Callers: []string{"company.example", "partner.example"}, Chain: []byte("chain"), Key: []byte("key"), Bundles: map[string][]byte{"partner.example": []byte("their bundle"), "company.example": []byte("our bundle")}}
		s.Listeners = []Listener{
			{Name: "workloads", Address: "0.0.0.0", Port: 8443, TLS: &ListenerTLS{SPIFFE: true}},
			{Name: "public-name", Address: "0.0.0.0", Port: 8444, TLS: &ListenerTLS{CertFile: "/etc/sallyport/tls.pem", KeyFile: "/etc/sallyport/tls.key", SPIFFE: true}},
		}
	}},
	{name: "egress", adjust: func(s *Settings) {
		s.Workload = &Workload{TrustDomain: "company.example", Callers: []string{"company.example"}, Chain: []byte("chain"), Key: []byte("key"), Bundles: map[string][]byte{"company.example": []byte("our bundle")}}
		way := Workway{Name: "sandbox", MaxConnections: 256, ConnectTimeout: 5 * time.Second, Idle: 5 * time.Minute}
		narrow := Workway{Name: "crm", MaxConnections: 8, MaxRequest: 1 << 20, MaxResponse: 16 << 20, ConnectTimeout: time.Second, Idle: time.Minute, MaxTime: time.Hour}
		s.Egress = []Egress{
			{Name: "egress0", Address: "127.0.0.1", Port: 3128, Workloads: []Workway{way}},
			{Name: "egress1", Address: "0.0.0.0", Port: 3129, TLS: &ListenerTLS{SPIFFE: true}, Workloads: []Workway{way, narrow}},
		}
	}},
	{name: "traced", adjust: func(s *Settings) { s.Tracing = &Tracing{Sample: 0.1, ServiceName: "sallyport-envoy"} }},
	{name: "versions", servers: []registry.Server{{Name: "crm", Versions: []registry.Version{
		{Name: "v1", Weight: 90, Scheme: "http", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "10.0.0.1", Port: 80}, {Host: "10.0.0.2", Port: 80}}, IdleTimeout: time.Hour},
		{Name: "v2", Weight: 10, Scheme: "http", Path: "/v2/mcp", Endpoints: []registry.Endpoint{{Host: "crm.example.com", Port: 8080}}},
		{Name: "v0", Weight: 0, Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{{Host: "::1", Port: 8081}}},
	}}}},
	{name: "all-versions-out-of-rotation", servers: []registry.Server{{Name: "crm", Versions: []registry.Version{
		{Name: "v1", Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{{Host: "10.0.0.1", Port: 80}}},
		{Name: "v2", Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{{Host: "10.0.0.2", Port: 80}}},
	}}}},
	{name: "tls", servers: []registry.Server{
		{Name: "partner", Versions: []registry.Version{{
			Name: "default", Weight: 1, Scheme: "https", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "mcp.example.com", Port: 443}},
			TLS: registry.TLS{CAFile: "/etc/sallyport/partner-ca.pem", CertFile: "/etc/sallyport/client.pem", KeyFile: "/etc/sallyport/client.key"},
		}}},
		{Name: "by-address", Versions: []registry.Version{{
			Name: "default", Weight: 1, Scheme: "https", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "10.1.1.1", Port: 8443}},
		}}},
		{Name: "named", Versions: []registry.Version{{
			Name: "default", Weight: 1, Scheme: "https", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "10.1.1.1", Port: 8443}},
			TLS: registry.TLS{SNI: "mcp.internal"},
		}}},
		{Name: "two-hosts", Versions: []registry.Version{{
			Name: "default", Weight: 1, Scheme: "https", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "a.example.com", Port: 443}, {Host: "b.example.com", Port: 443}},
		}}},
	}},
	{name: "workloads", adjust: func(s *Settings) {
		s.Workload = &Workload{TrustDomain: "company.example", Chain: []byte("chain"), Key: []byte("key"), Callers: []string{"company.example"},
			Bundles: map[string][]byte{"partner.example": []byte("their bundle"), "company.example": []byte("our bundle"), "unused.example": []byte("nobody's")}}
	}, servers: []registry.Server{
		{Name: "ours", Versions: []registry.Version{{
			Name: "default", Weight: 1, Scheme: "https", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "10.1.1.1", Port: 8443}},
			TLS: registry.TLS{SPIFFE: registry.SPIFFE{TrustDomain: "company.example", ID: "spiffe://company.example/crm"}},
		}}},
		{Name: "theirs", Versions: []registry.Version{{
			Name: "default", Weight: 1, Scheme: "https", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "mcp.partner.example", Port: 443}},
			TLS: registry.TLS{SPIFFE: registry.SPIFFE{TrustDomain: "partner.example"}},
		}}},
	}},
	{name: "limits-and-health", servers: []registry.Server{{Name: "data", Versions: []registry.Version{{
		Name: "2026.1", Weight: 1, Scheme: "http", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "127.0.0.1", Port: 9000}},
		ConnectTimeout: time.Second, IdleTimeout: time.Minute,
		Health: registry.HealthCheck{Path: "/healthz", Interval: 3 * time.Second, Timeout: time.Second},
		Limits: registry.Limits{MaxConnections: 10, MaxPending: 20, MaxRequests: 30},
	}}}, {Name: "unchecked", Versions: []registry.Version{{
		Name: "default", Weight: 1, Scheme: "http", Path: "/mcp", Endpoints: []registry.Endpoint{{Host: "127.0.0.1", Port: 9001}},
		Health: registry.HealthCheck{Disabled: true},
	}}}}},
}

func TestBuildWritesTheGoldens(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			r := build(t, g.servers, g.adjust)
			listeners := g.adjust != nil || g.name == "one-server"
			got := dump(t, r, listeners)
			path := filepath.Join("testdata", "out", g.name+".yaml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s; look at `git diff` after -update", path)
			}
			if again := dump(t, build(t, g.servers, g.adjust), listeners); !bytes.Equal(got, again) {
				t.Error("building twice gives different resources")
			}
		})
	}
}

func build(t testing.TB, servers []registry.Server, adjust func(*Settings)) *Resources {
	t.Helper()
	s := DefaultSettings()
	if adjust != nil {
		adjust(&s)
	}
	r, err := Build(registry.NewView(servers), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// dump leaves out the listeners where they are those of one-server.
func dump(t testing.TB, r *Resources, listeners bool) []byte {
	t.Helper()
	all := map[string]any{"routes": trees(t, r.Routes), "clusters": trees(t, r.Clusters), "secrets": trees(t, r.Secrets)}
	if listeners {
		all["listeners"] = trees(t, r.Listeners)
	}
	return toYAML(t, all)
}

func trees[M proto.Message](t testing.TB, ms []M) []any {
	t.Helper()
	out := []any{}
	for _, m := range ms {
		out = append(out, tree(t, m))
	}
	return out
}

func tree(t testing.TB, m proto.Message) any {
	t.Helper()
	v, err := treeOf(m)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func toYAML(t testing.TB, v any) []byte {
	t.Helper()
	y, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

func TestBuildRefusesWhatCannotWork(t *testing.T) {
	bad := func(change func(*registry.Version)) []registry.Server {
		s := plain("crm", 80)
		change(&s.Versions[0])
		return []registry.Server{s}
	}
	tests := []struct {
		name    string
		servers []registry.Server
		adjust  func(*Settings)
		want    string
	}{
		{name: "a name that would need escaping in a path", servers: []registry.Server{plain("a/b", 80)}, want: "server a/b: the name"},
		{name: "a server without versions", servers: []registry.Server{{Name: "crm"}}, want: "at least one version"},
		{name: "a version without endpoints", servers: bad(func(v *registry.Version) { v.Endpoints = nil }), want: "at least one endpoint"},
		{name: "a path with a query", servers: bad(func(v *registry.Version) { v.Path = "/mcp?key=1" }), want: `path "/mcp?key=1"`},
		{name: "a host that smuggles a header", servers: bad(func(v *registry.Version) { v.Endpoints[0].Host = "a\r\nx: y" }), want: "not a host and port"},
		{name: "a scheme that is not HTTP", servers: bad(func(v *registry.Version) { v.Scheme = "ftp" }), want: `scheme "ftp"`},
		{name: "a client certificate without its key", servers: bad(func(v *registry.Version) { v.TLS.CertFile = "c.pem" }), want: "both certificate and key"},
		{name: "no listener", adjust: func(s *Settings) { s.Listeners = nil }, want: "at least one is needed"},
		{name: "an ext_proc address without a port", adjust: func(s *Settings) { s.ExtProc = "localhost" }, want: "want host:port or unix:PATH"},
		{name: "an egress listener that nobody judges", adjust: func(s *Settings) {
			s.NoExtProc = true
			s.Egress = []Egress{{Name: "out", Address: "127.0.0.1"}}
		}, want: "nobody would judge them"},
		{name: "an egress listener with the name of another", adjust: func(s *Settings) { s.Egress = []Egress{{Name: "mcp", Address: "127.0.0.1"}} }, want: "must be set and unique"},
		{name: "a workload that could pass for a part of a name", adjust: func(s *Settings) {
			s.Egress = []Egress{{Name: "out", Address: "127.0.0.1", Workloads: []Workway{{Name: "a/b", MaxConnections: 1, ConnectTimeout: 1, Idle: 1}}}}
		}, want: `workload "a/b"`},
		{name: "a workload without any limit of connections", adjust: func(s *Settings) {
			s.Egress = []Egress{{Name: "out", Address: "127.0.0.1", Workloads: []Workway{{Name: "a", ConnectTimeout: 1, Idle: 1}}}}
		}, want: "connections and timeouts must be positive"},
		{name: "a timeout of zero", adjust: func(s *Settings) { s.MessageTimeout = 0 }, want: "message timeout: must be positive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := DefaultSettings()
			if tt.adjust != nil {
				tt.adjust(&s)
			}
			_, err := Build(registry.NewView(tt.servers), s)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestARouteToAMissingClusterIsRefused(t *testing.T) {
	r := build(t, []registry.Server{plain("crm", 80)}, nil)
	r.Clusters = r.Clusters[1:]
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), `cluster "mcp/crm/default": used by`) {
		t.Errorf("error %v", err)
	}
}

func TestBootstrapRefusesWhatIsUnsafe(t *testing.T) {
	tests := []struct {
		name   string
		change func(*BootstrapSettings)
		want   string
	}{
		{"an admin interface for everybody", func(b *BootstrapSettings) { b.AdminAddress = "0.0.0.0" }, "must be a loopback address"},
		{"an xDS address without a port", func(b *BootstrapSettings) { b.XDS = "somewhere" }, "xds address"},
		{"no node id", func(b *BootstrapSettings) { b.NodeID = "" }, "node id"},
		{"no limit of connections", func(b *BootstrapSettings) { b.MaxConnections = 0 }, "connections must be positive"},
		{"a heap that is too small to work in", func(b *BootstrapSettings) { b.MaxHeap = 1 << 20 }, "at least 64 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := DefaultBootstrap()
			tt.change(&b)
			if _, err := Bootstrap(b); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
