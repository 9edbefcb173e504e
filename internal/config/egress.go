package config

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
)

// Egress is how MCP servers and agents go out: through Envoy, and only to where
// their workload may go.
type Egress struct {
	Listeners []EgressListener `yaml:"listeners" restart:"true" doc:"Addresses of the forward proxy, for plain HTTP and CONNECT; none when absent"`
	Workloads []Egressor       `yaml:"workloads" doc:"Who goes out through them, and where to"`
	Resolver  Resolver         `yaml:"resolver" doc:"How names of destinations are looked up, by guards.egress too"`
}

// EgressListener is one address that workloads go out through.
type EgressListener struct {
	Address        notation.ListenAddress `yaml:"address" required:"true" doc:"Where to listen"`
	TLS            ListenerTLS            `yaml:"tls" doc:"How gateway and workloads prove who they are; plain HTTP when absent"`
	Workload       string                 `yaml:"workload" doc:"Who everybody is that connects here; needed where clients show no certificate, and only there"`
	TrustedNetwork bool                   `yaml:"trusted_network" doc:"States that only this workload reaches the address, as in a network of its own, so that it need not be a loopback address; nothing checks it"`
}

// Egressor is a workload that goes out.
type Egressor struct {
	Name           string        `yaml:"name" required:"true" doc:"Its name in receipts and metrics: 1 to 63 of a-z, 0-9 and inner hyphens"`
	IDs            []string      `yaml:"ids" doc:"SPIFFE ids of its certificates; spiffe://domain/path/* for all below a path"`
	Servers        []string      `yaml:"servers" doc:"Registered servers that it is; receipts of its connections name their calls as causes"`
	Allow          []Destination `yaml:"allow" doc:"Where it may go; when absent, to the hosts of gateway.egress_control.url_allowlist, by https"`
	MaxConnections uint32        `yaml:"max_connections" max:"100000" doc:"Connections to destinations at a time; as many more wait, and then there is 503. Each of Envoy's workers may open one to each destination whatever the limit; 256 when absent"`
	MaxRequest     notation.Size `yaml:"max_request" max:"1024GiB" doc:"What it may send in one request or tunnel; any number of bytes when absent"`
	MaxResponse    notation.Size `yaml:"max_response" max:"1024GiB" doc:"What it may receive in one; any number of bytes when absent"`
	MaxTime        time.Duration `yaml:"max_time" max:"30d" doc:"How long one may last; any time when absent"`
	IdleTime       time.Duration `yaml:"idle_time" max:"24h" doc:"How long one may be silent; 5m when absent"`
	ConnectTime    time.Duration `yaml:"connect_time" max:"1m" doc:"How long connecting may take; 5s when absent"`
}

// Destination is where a workload may go.
type Destination struct {
	Host      string             `yaml:"host" required:"true" doc:"Name, IP address, or *.name for every name below it"`
	Ports     []int              `yaml:"ports" doc:"Ports; 443 for https and 80 for http when absent"`
	Schemes   []string           `yaml:"schemes" oneof:"https|http" doc:"https is a tunnel, whose content nobody sees; http is plain requests; https when absent"`
	Private   bool               `yaml:"private" doc:"It may be at private addresses; never at loopback, link-local and metadata ones"`
	Addresses []notation.Network `yaml:"addresses" doc:"Addresses that it may be at, beside public ones, whatever they are; never metadata services"`
}

// Resolver says how names are looked up.
type Resolver struct {
	Address notation.DialAddress `yaml:"address" doc:"DNS server to ask, over UDP and TCP; the system's when absent"`
	Keep    time.Duration        `yaml:"keep" max:"1h" doc:"How long an answer is used again, whatever its own time to live; 30s when absent"`
}

// checkEgress demands that workloads can be told apart, and have somewhere to go.
func (c *Config) checkEgress(at strict.At) {
	block := at.Field("egress")
	if !block.Exists() || block.Refused() {
		return
	}
	seen, certified := make(map[string]bool), false
	for i := range c.Egress.Workloads {
		w, p := &c.Egress.Workloads[i], block.Field("workloads").Item(i)
		if !p.OK() {
			continue
		}
		if !validLabel(w.Name) || seen[w.Name] {
			p.Field("name").Report("%q must be 1 to 63 of a-z, 0-9 and inner hyphens, and no other workload's", w.Name)
		}
		seen[w.Name] = true
		certified = certified || len(w.IDs) > 0
		for k, id := range w.IDs {
			if !validID(id) {
				p.Field("ids").Item(k).Report("%q is not a SPIFFE id; write spiffe://company.example/path, or spiffe://company.example/path/* for all below it", id)
			}
		}
		if len(w.Allow) == 0 && len(c.Gateway.EgressControl.URLAllowlist) == 0 {
			p.Field("allow").Report("is required where gateway.egress_control.url_allowlist is empty: the workload could go nowhere")
		}
	}
	if len(c.Egress.Workloads) > 0 && len(c.Egress.Listeners) == 0 && !block.Field("listeners").Refused() {
		block.Field("listeners").Report("is required: workloads have nothing to go out through")
	}
	for i := range c.Egress.Listeners {
		l, p := &c.Egress.Listeners[i], block.Field("listeners").Item(i)
		l.TLS.check(p.Field("tls"))
		if p.OK() {
			c.checkWorkloads(&Listener{TLS: l.TLS}, p)
			l.check(p, seen, certified)
		}
	}
}

func (l *EgressListener) check(p strict.At, workloads map[string]bool, certified bool) {
	switch {
	case l.TLS.AsksClients():
		if l.Workload != "" {
			p.Field("workload").Report("cannot stand beside certificates, which say who is connecting")
		}
		if l.TrustedNetwork {
			p.Field("trusted_network").Report("has no effect beside certificates")
		}
		if !certified {
			p.Report("serves nobody: no workload has ids")
		}
	case l.Workload == "":
		p.Field("workload").Report("is required where clients show no certificate: who is it that connects here?")
	case !workloads[l.Workload]:
		p.Field("workload").Report("%q is not a workload", l.Workload)
	case l.Address.IsValid() && !l.Address.Loopback() && !l.TrustedNetwork:
		p.Field("address").Report("%s can be reached from other machines, and whoever connects would be %s; listen on a loopback address, ask for certificates, or write trusted_network: true if only this workload reaches it", l.Address, l.Workload)
	}
}

func validLabel(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}

func validID(s string) bool {
	rest, ok := strings.CutPrefix(s, "spiffe://")
	rest = strings.TrimSuffix(rest, "/*")
	if !ok || rest == "" || len(s) > 2048 || strings.ContainsAny(rest, "*?#%@ ") {
		return false
	}
	parts := strings.Split(rest, "/")
	return !slices.Contains(parts, "") && !slices.Contains(parts, ".") && !slices.Contains(parts, "..") && (len(parts) > 1 || strings.HasSuffix(s, "/*"))
}
