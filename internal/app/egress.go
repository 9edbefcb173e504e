package app

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/outbound"
	"github.com/sallyport/sallyport/internal/resolver"
	"github.com/sallyport/sallyport/xds"
)

// outbounds is what judges of egress listeners keep from one configuration to the
// next.
type outbounds struct {
	recorder outbound.Recorder

	mu       sync.Mutex
	calls    *outbound.Calls
	resolver *resolver.Resolver
	options  resolver.Options // of resolver
}

// lookup returns what looks names up under c: the same as before, with what it
// remembers, as long as it is asked for in the same way.
func (o *outbounds) lookup(c config.Resolver) *resolver.Resolver {
	o.mu.Lock()
	defer o.mu.Unlock()
	if options := (resolver.Options{Server: c.Address.String(), Keep: c.Keep}); o.resolver == nil || o.options != options {
		o.resolver, o.options = resolver.New(options), options
	}
	return o.resolver
}

// memory remembers the calls of servers that go out; nil where none does.
func (o *outbounds) memory(cfg *config.Config) *outbound.Calls {
	var servers []string
	for _, w := range cfg.Egress.Workloads {
		servers = append(servers, w.Servers...)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(servers) == 0 && o.calls == nil:
		return nil
	case o.calls == nil:
		o.calls = outbound.NewCalls(time.Now)
	}
	o.calls.Watch(servers)
	return o.calls
}

// judge returns what judges for the egress listeners under cfg; nil where there are
// none.
func (o *outbounds) judge(cfg *config.Config, calls *outbound.Calls, revoked func(*guard.Principal) string, observers []guard.Observer) (*outbound.Judge, error) {
	if len(cfg.Egress.Listeners) == 0 {
		return nil, nil
	}
	var all []*outbound.Workload
	var errs []error
	for i := range cfg.Egress.Workloads {
		w, err := outgoing(cfg, &cfg.Egress.Workloads[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("egress.workloads[%d].%w", i, err))
		}
		all = append(all, w)
	}
	listeners := make(map[string]*outbound.Listener)
	for i, l := range cfg.Egress.Listeners {
		one := &outbound.Listener{Workloads: all}
		if !l.TLS.AsksClients() {
			one.Workloads, one.Only = nil, all[workloadOf(cfg, l.Workload)]
		}
		listeners[egressName(i)] = one
	}
	return &outbound.Judge{Listeners: listeners, Resolver: o.lookup(cfg.Egress.Resolver), Calls: calls, Observers: observers, Recorder: &o.recorder, Revoked: revoked}, errors.Join(errs...)
}

func egressName(i int) string { return "egress" + strconv.Itoa(i) }

// workloadOf finds a workload, which the configuration was checked to have.
func workloadOf(cfg *config.Config, name string) int {
	for i := range cfg.Egress.Workloads {
		if cfg.Egress.Workloads[i].Name == name {
			return i
		}
	}
	return -1
}

func outgoing(cfg *config.Config, c *config.Egressor) (*outbound.Workload, error) {
	w := &outbound.Workload{Name: c.Name, IDs: c.IDs, Servers: c.Servers}
	if len(c.Allow) == 0 {
		for _, host := range allowlist(cfg.Gateway.EgressControl) {
			w.Allow(outbound.Entry{Host: host, Private: destination.Internal(host)})
		}
	}
	var errs []error
	for i, d := range c.Allow {
		host, err := destination.HostPattern(d.Host)
		if err != nil {
			errs = append(errs, fmt.Errorf("allow[%d].host: %w", i, err))
		}
		for k, port := range d.Ports {
			if port < 1 || port > 65535 {
				errs = append(errs, fmt.Errorf("allow[%d].ports[%d]: %d is no port", i, k, port))
			}
		}
		e := outbound.Entry{Host: host, Ports: d.Ports, Schemes: d.Schemes, Private: d.Private}
		for _, n := range d.Addresses {
			e.Addresses = append(e.Addresses, n.Prefix)
		}
		w.Allow(e)
	}
	return w, errors.Join(errs...)
}

// egressListeners are what Envoy gets, at the addresses that were picked.
func egressListeners(cfg *config.Config, at []netip.AddrPort) (out []xds.Egress) {
	for i, a := range at {
		l := &cfg.Egress.Listeners[i]
		e := xds.Egress{Name: egressName(i), Address: a.Addr().String(), Port: uint32(a.Port()), TLS: listenerTLS(&l.TLS)}
		for k := range cfg.Egress.Workloads {
			w := &cfg.Egress.Workloads[k]
			if l.TLS.AsksClients() && len(w.IDs) == 0 || !l.TLS.AsksClients() && l.Workload != w.Name {
				continue
			}
			e.Workloads = append(e.Workloads, xds.Workway{
				Name: w.Name, MaxConnections: orElse(w.MaxConnections, 256), MaxRequest: uint64(w.MaxRequest), MaxResponse: uint64(w.MaxResponse),
				MaxTime: w.MaxTime, Idle: orElse(w.IdleTime, 5*time.Minute), ConnectTimeout: orElse(w.ConnectTime, 5*time.Second),
			})
		}
		out = append(out, e)
	}
	return out
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
