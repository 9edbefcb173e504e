package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/bench/proc"
	"github.com/sallyport/sallyport/guard/standard"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/xds"
)

const listenerName = "mcp0" // as the gateway names its first one

// noop is Envoy with an ext_proc service that lets everything pass.
func (r *Rig) noop(ctx context.Context, s *Setup, server string) error {
	p, address, err := r.own(ctx, "noop")
	if err != nil {
		return err
	}
	if err := r.envoy(ctx, s, server, address); err != nil {
		return err
	}
	s.Parts = append(s.Parts, Part{"noop", p.PID()})
	return nil
}

// envoy starts an Envoy that gets the gateway's configuration from our own xDS
// server, with the ext_proc service at an address, or without any.
func (r *Rig) envoy(ctx context.Context, s *Setup, server, extProc string) error {
	control, err := r.control(ctx, server, extProc)
	if err != nil {
		return err
	}
	b := xds.DefaultBootstrap()
	b.XDS, b.AdminPort = control, 0
	boot, err := xds.Bootstrap(b)
	if err != nil {
		return err
	}
	file, adminFile := filepath.Join(r.o.Dir, s.Name+".yaml"), filepath.Join(r.o.Dir, s.Name+".admin")
	if err := os.WriteFile(file, boot, 0o600); err != nil {
		return err
	}
	// As the gateway starts its own.
	p, err := proc.Start(ctx, "envoy", nil, r.o.Envoy, "-c", file, "--admin-address-path", adminFile,
		"--disable-hot-restart", "--log-level", "warning", "--concurrency", strconv.Itoa(r.o.Workers))
	if err != nil {
		return err
	}
	r.processes = append(r.processes, p)
	s.Parts = append(s.Parts, Part{"envoy", p.PID()})
	var address string
	if err := p.Wait(ctx, patience, func() bool {
		address, r.listeners[s.Name] = bound(ctx, adminFile), listenerOf(ctx, adminFile)
		return address != "" && r.listeners[s.Name] != "" // it warms up before it is active
	}); err != nil {
		return err
	}
	s.URL = "http://" + address + "/mcp/echo"
	return nil
}

// control serves xDS and returns its address.
func (r *Rig) control(ctx context.Context, server, extProc string) (string, error) {
	at, err := netip.ParseAddrPort(server)
	if err != nil {
		return "", err
	}
	settings := xds.DefaultSettings()
	settings.Listeners = []xds.Listener{{Name: listenerName, Address: "127.0.0.1"}}
	settings.ExtProc, settings.NoExtProc = extProc, extProc == ""
	settings.Drain = time.Second // as the gateway is told below
	resources, err := xds.Build(registry.NewView([]registry.Server{{
		Name: "echo", Owner: "bench", Domain: "bench", Classification: registry.Internal,
		Versions: []registry.Version{{
			Name: "default", Weight: 100, Scheme: "http", Path: "/mcp/echo",
			Endpoints:      []registry.Endpoint{{Host: at.Addr().String(), Port: at.Port()}},
			ConnectTimeout: 5 * time.Second, IdleTimeout: 30 * time.Minute, Health: registry.HealthCheck{Disabled: true},
			Limits: registry.Limits{MaxConnections: 4096, MaxPending: 4096, MaxRequests: 4096},
		}},
	}}), settings)
	if err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	x := xds.New(quiet(), xds.Options{})
	g := grpc.NewServer()
	x.Register(g)
	run, stop := context.WithCancel(ctx)
	go func() { _ = x.Run(run) }()  // it ends with run
	go func() { _ = g.Serve(ln) }() // and this when stopped; Envoy keeps what it has
	r.stops = append(r.stops, func() { stop(); g.Stop() })
	if err := x.Push(resources); err != nil {
		return "", err
	}
	return ln.Addr().String(), nil
}

// gateway starts Sallyport with an Envoy of its own.
func (r *Rig) gateway(ctx context.Context, s *Setup, server, limits, guards string) error {
	return r.governed(ctx, s, server, "  authentication: {method: none}\n  authorization: {policy_engine: none}\n"+limits, guards)
}

// governed is gateway with a gateway block of its own.
func (r *Rig) governed(ctx context.Context, s *Setup, server, block, guards string) error {
	if err := r.configure(s, server, block, guards); err != nil {
		return err
	}
	return r.launch(ctx, s)
}

// configure writes the configuration of a gateway.
func (r *Rig) configure(s *Setup, server, block, guards string) error {
	file := filepath.Join(r.o.Dir, s.Name+".yaml")
	config := fmt.Sprintf(`listeners: [{address: "127.0.0.1:0"}]
gateway:
%sextproc: {address: "127.0.0.1:0"}
xds: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0", pprof: %t}
envoy: {admin_address: "127.0.0.1:0", concurrency: %d}
limits: {drain: 1s}
receipts: {path: %s.jsonl}
log: {level: error}
servers:
  - name: echo
    description: The echo server of the bench
    owner: bench
    domain: bench
    data_classification: internal
    url: http://%s/mcp/echo
    idle_timeout: 30m
    health_check: {disabled: true}
    limits: {max_connections: 4096, max_pending: 4096, max_requests: 4096}
%s`, block, r.o.Pprof, r.o.Workers, s.Name, server, guards)
	return os.WriteFile(file, []byte(config), 0o600)
}

// launch starts Sallyport with the configuration that was written for s.
func (r *Rig) launch(ctx context.Context, s *Setup) error {
	file := filepath.Join(r.o.Dir, s.Name+".yaml")
	p, line, err := r.run(ctx, "sallyport", "sallyport ready ", r.o.Sallyport, "run", "-c", file, "--envoy", r.o.Envoy)
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(line) {
		if v, ok := strings.CutPrefix(word, "mcp="); ok {
			s.URL = v + "/mcp/echo"
		}
		if v, ok := strings.CutPrefix(word, "admin="); ok {
			s.Admin = v
		}
	}
	children, err := proc.Children(p.PID())
	if err != nil {
		return err
	}
	if len(children) != 1 {
		return fmt.Errorf("the gateway has %d child processes and should have one, Envoy", len(children))
	}
	s.Parts = []Part{{"envoy", children[0]}, {"sallyport", p.PID()}}
	adminFile, err := argument(children[0], "--admin-address-path")
	if err != nil {
		return err
	}
	r.listeners[s.Name] = listenerOf(ctx, adminFile)
	return nil
}

// only switches off every guard but the first, which costs next to nothing, those
// that cannot be, and some.
func only(some ...string) string {
	var b strings.Builder
	b.WriteString("guards:\n")
	for _, spec := range standard.Specs(standard.Ports{}) {
		if spec.Name != "envelope" && !spec.Required && !slices.Contains(some, spec.Name) {
			b.WriteString("  " + spec.Name + ": {mode: off}\n")
		}
	}
	return b.String()
}

// argument returns the value of a flag that a process was started with.
func argument(pid int, flag string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return "", err
	}
	argv := strings.Split(string(b), "\x00")
	for i := range len(argv) - 1 {
		if argv[i] == flag {
			return argv[i+1], nil
		}
	}
	return "", errors.New("a process was started without " + flag)
}

// ask gets a path of the admin interface whose address is in a file.
func ask(ctx context.Context, adminFile, path string) ([]byte, error) {
	address, err := os.ReadFile(adminFile)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+strings.TrimSpace(string(address))+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// bound returns the address that Envoy's listener got, or "" until it has one.
func bound(ctx context.Context, adminFile string) string {
	b, err := ask(ctx, adminFile, "/listeners")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), listenerName+"::"); ok {
			return address
		}
	}
	return ""
}

// listenerOf returns the listener as Envoy runs it, without its port.
func listenerOf(ctx context.Context, adminFile string) string {
	b, err := ask(ctx, adminFile, "/config_dump?resource=dynamic_listeners")
	if err != nil {
		return ""
	}
	var dump struct {
		Configs []struct {
			Active struct {
				Listener map[string]any `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	if json.Unmarshal(b, &dump) != nil || len(dump.Configs) != 1 {
		return ""
	}
	l := dump.Configs[0].Active.Listener
	if l == nil {
		return ""
	}
	delete(l, "address")
	out, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return ""
	}
	return string(out)
}

// firstDifference returns the first lines in which two texts differ.
func firstDifference(a, b string) string {
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(left), len(right)) {
		if left[i] != right[i] {
			return strings.TrimSpace(left[i]) + " against " + strings.TrimSpace(right[i])
		}
	}
	return "one has more than the other"
}
