// Package compose checks docker-compose.yml without a Docker engine: that it
// loads, that it is hardened, and that its files belong together.
package compose

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

func project(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(testenv.Root(), "docker-compose.yml")}, cli.WithWorkingDirectory(testenv.Root()), cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mounted returns the file of the source tree that the service sees at path.
func mounted(t *testing.T, p *types.Project, service, path string) string {
	t.Helper()
	for _, v := range p.Services[service].Volumes {
		if v.Target == path && v.Type == types.VolumeTypeBind {
			return v.Source
		}
	}
	t.Fatalf("%s has no file at %s", service, path)
	return ""
}

func configuration(t *testing.T, p *types.Project) *config.Config {
	t.Helper()
	path := argument(t, p.Services["sallyport"].Command, "-c")
	c, err := config.Load(mounted(t, p, "sallyport", path), app.ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func argument(t *testing.T, command []string, flag string) string {
	t.Helper()
	i := slices.Index(command, flag)
	if i < 0 || i+1 >= len(command) {
		t.Fatalf("%q has no %s", command, flag)
	}
	return command[i+1]
}

func TestEveryServiceIsHardened(t *testing.T) {
	p := project(t)
	for _, name := range []string{"door", "envoy", "sallyport", "redis", "crm", "tickets", "data"} {
		if _, ok := p.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for name, s := range p.Services {
		user, _, _ := strings.Cut(s.User, ":")
		if !s.ReadOnly || user == "" || user == "0" || user == "root" || s.Privileged {
			t.Errorf("%s: read_only %v, user %q, privileged %v", name, s.ReadOnly, s.User, s.Privileged)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 {
			t.Errorf("%s: security_opt %v, cap_drop %v, cap_add %v", name, s.SecurityOpt, s.CapDrop, s.CapAdd)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		if s.MemLimit == 0 || s.PidsLimit == 0 {
			t.Errorf("%s: no limit of memory or processes", name)
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s: mount %s: read only %v, %v", name, v.Source, v.ReadOnly, err)
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q; an unauthenticated gateway is for this machine only", name, port.Published, port.HostIP)
			}
		}
	}
}

func TestImagesAreBuiltFromFilesThatExist(t *testing.T) {
	p := project(t)
	built := 0
	for name, s := range p.Services {
		if s.Build == nil {
			if image, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
				t.Errorf("%s: image %s has no fixed version", name, image)
			}
			continue
		}
		built++
		text, err := os.ReadFile(filepath.Join(s.Build.Context, s.Build.Dockerfile))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !regexp.MustCompile(`(?m)^FROM \S+ AS ` + s.Build.Target + `$`).Match(text) {
			t.Errorf("%s: the Dockerfile has no target %s", name, s.Build.Target)
		}
		for _, m := range regexp.MustCompile(`go build .* (\./\S+)`).FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(s.Build.Context, string(m[1]), "main.go")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if built != 4 {
		t.Errorf("%d services are built here, want the gateway and three servers", built)
	}
	if v := p.Services["envoy"].Image; v != "envoyproxy/envoy:v1.40.0" {
		t.Errorf("envoy is %s", v)
	}
}

func TestServersAreReachedFromTheGatewayOnly(t *testing.T) {
	p := project(t)
	c := configuration(t, p)
	servers := c.View().Servers()
	if len(servers) != 3 {
		t.Fatalf("%d servers", len(servers))
	}
	for _, s := range servers {
		for _, v := range s.Versions {
			for _, e := range v.Endpoints {
				service, ok := p.Services[e.Host]
				if !ok {
					t.Errorf("no service answers to %s", e.Host)
					continue
				}
				if listen := argument(t, service.Command, "-"+e.Host); listen != fmt.Sprintf("0.0.0.0:%d", e.Port) {
					t.Errorf("%s listens on %s, the gateway calls port %d", service.Name, listen, e.Port)
				}
				if len(service.Ports) > 0 || service.NetworkMode != "" || len(service.Networks) != 1 {
					t.Errorf("%s: ports %v, network mode %q, networks %v", service.Name, service.Ports, service.NetworkMode, service.NetworksByPriority())
				}
				for network := range service.Networks {
					if got := members(p, network); !slices.Equal(got, slices.Sorted(slices.Values([]string{"door", service.Name}))) || !p.Networks[network].Internal {
						t.Errorf("network %s of %s: members %v, internal %v", network, service.Name, got, p.Networks[network].Internal)
					}
				}
			}
		}
	}
	for _, name := range []string{"envoy", "sallyport"} {
		if mode := p.Services[name].NetworkMode; mode != "service:door" {
			t.Errorf("%s: network mode %s", name, mode)
		}
	}
	if got := members(p, "front"); !slices.Equal(got, []string{"door"}) {
		t.Errorf("whoever is in network front reaches the gateway without being asked: %v", got)
	}
}

func members(p *types.Project, network string) []string {
	var out []string
	for name, s := range p.Services {
		if _, ok := s.Networks[network]; ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// TestPublishedPortsEndAtTheGateway follows each port: host, door, loopback.
func TestPublishedPortsEndAtTheGateway(t *testing.T) {
	p := project(t)
	c := configuration(t, p)
	door := p.Services["door"]
	text, err := os.ReadFile(mounted(t, p, "door", argument(t, door.Command, "-c")))
	if err != nil {
		t.Fatal(err)
	}
	address := door.Networks["front"].Ipv4Address
	if subnet := netip.MustParsePrefix(p.Networks["front"].Ipam.Config[0].Subnet); !subnet.Contains(netip.MustParseAddr(address)) {
		t.Errorf("%s is not in %s", address, subnet)
	}
	published := map[uint32]bool{}
	for _, port := range door.Ports {
		published[port.Target] = port.Published == fmt.Sprint(port.Target)
	}
	for _, want := range []netip.AddrPort{c.Listeners[0].Address.AddrPort, c.Admin.Address.AddrPort} {
		if !published[uint32(want.Port())] {
			t.Errorf("%s is not published under its own port", want)
		}
		for _, host := range []string{address, want.Addr().String()} {
			if entry := fmt.Sprintf("{address: %s, port_value: %d}", host, want.Port()); !bytes.Contains(text, []byte(entry)) {
				t.Errorf("door.yaml lacks %s", entry)
			}
		}
	}
	if len(published) != 2 {
		t.Errorf("published: %v", published)
	}
	if bytes.Contains(text, []byte("0.0.0.0")) || bytes.Contains(text, []byte("9004}")) {
		t.Error("door listens beyond its own network, or leads to Envoy's admin interface")
	}
	var kept bool
	for _, v := range p.Services["sallyport"].Volumes {
		kept = kept || v.Type == types.VolumeTypeVolume && v.Target == filepath.Dir(c.Receipts.Path)
	}
	if !kept {
		t.Errorf("%s is in no volume", c.Receipts.Path)
	}
}

func TestTheBootstrapIsTheOneThatTheGatewayPrints(t *testing.T) {
	p := project(t)
	c := configuration(t, p)
	path := mounted(t, p, "envoy", argument(t, p.Services["envoy"].Command, "-c"))
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := app.Bootstrap(c, c.XDS.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, _ := bytes.Cut(have, []byte("\n")); !bytes.Equal(rest, want) {
		t.Errorf("%s is out of date; want under its first line\n%s", path, want)
	}
}

func TestEnvoyAcceptsBothFiles(t *testing.T) {
	bin, p := testenv.Envoy(t), project(t)
	for _, name := range []string{"door", "envoy"} {
		file := mounted(t, p, name, argument(t, p.Services[name].Command, "-c"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, bin, "--mode", "validate", "-l", "warn", "-c", file).CombinedOutput()
		cancel()
		if err != nil || bytes.Contains(out, []byte("[warning]")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestTheHealthCheckOfEnvoyAnswersByItsState runs the check's own words against
// a port that says what Envoy's admin interface says.
func TestTheHealthCheckOfEnvoyAnswersByItsState(t *testing.T) {
	for name, admin := range map[string]string{"envoy": "9004", "door": "9005"} {
		check := project(t).Services[name].HealthCheck.Test
		if check[0] != "CMD" || check[1] != "bash" {
			t.Fatalf("%q", check)
		}
		for state, healthy := range map[string]bool{"LIVE": true, "PRE_INITIALIZING": false} {
			port := stateServer(t, state)
			script := strings.Replace(check[3], "/"+admin, "/"+port, 1)
			if script == check[3] {
				t.Fatalf("%s does not ask port %s: %s", name, admin, script)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			out, err := exec.CommandContext(ctx, "bash", "-c", script).CombinedOutput()
			cancel()
			if (err == nil) != healthy {
				t.Errorf("%s in state %s: %v %s", name, state, err, out)
			}
		}
	}
}

func stateServer(t *testing.T, state string) (port string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = fmt.Fprintln(w, state)
	}))
	t.Cleanup(s.Close)
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return port
}
