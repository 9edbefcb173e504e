// Package outbound judges where workloads go through egress listeners: who is
// asking, whether that may be reached, and which address it is. It knows nothing
// of Envoy.
//
// What is judged is what is connected to: the judge itself looks a name up, judges
// every address that it has, and names one of them. Nobody looks it up again.
package outbound

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/destination"
)

// connect is the method of tunnels.
const connect = "CONNECT"

// Resolver looks names up. It is asked from many goroutines.
type Resolver interface {
	// Known returns the addresses of a name if they are at hand.
	Known(host string) ([]netip.Addr, bool)
	// Lookup finds them. A name that does not exist has none; an error means that
	// nobody could be asked.
	Lookup(ctx context.Context, host string) ([]netip.Addr, error)
}

// Judge judges for all listeners. Nobody changes it once it is used.
type Judge struct {
	Listeners map[string]*Listener // by the names that Envoy knows them by
	Resolver  Resolver
	Calls     *Calls           // that may be the cause of what is asked; nil for none
	Observers []guard.Observer // hear of each answer; one that fails has it refused
	Recorder  *Recorder
	// Revoked says why somebody is not believed any more, or nothing; it may be nil.
	Revoked func(*guard.Principal) string
}

// Request is what a workload asks for.
type Request struct {
	Listener  string
	Peer      string // id of the certificate, as the listener verified it; empty where it asks for none
	Method    string // HTTP method; CONNECT for a tunnel
	Scheme    string // of a plain request
	Authority string
	Protocol  string // of an extended CONNECT
	Trace     string // traceparent, which is a claim
	Upgrade   string // of a plain request
}

// Answer is what the judge says. The zero Answer refuses.
type Answer struct {
	Allow  bool
	Reason guard.Reason
	Detail string // for operators
	Out    guard.Outbound
}

// Judge answers one request. It may wait for the resolver, as long as ctx goes on.
func (j *Judge) Judge(ctx context.Context, r *Request) (a Answer) {
	a.Out.Listener = r.Listener
	l := j.Listeners[r.Listener]
	if l == nil {
		return a.refuse(guard.GuardError, "the listener is not part of this configuration")
	}
	if j.Revoked != nil && r.Peer != "" {
		if why := j.Revoked(&guard.Principal{Peer: r.Peer}); why != "" {
			return a.refuse(guard.IdentityRevoked, why)
		}
	}
	w := l.workload(r.Peer)
	if w == nil {
		return a.refuse(guard.UnknownWorkload, fmt.Sprintf("no workload has the id %q", r.Peer))
	}
	a.Out.Workload = w.Name
	a.Out.Cause, a.Out.Candidates = j.Calls.causes(w.Servers, r.Trace)
	d, policy, err := w.read(r)
	a.Out.Scheme, a.Out.Host, a.Out.Port = d.Scheme, d.Host, d.Port
	if err != nil {
		return a.refuse(guard.EgressDenied, err.Error())
	}
	e, err := policy.Check(d)
	if err != nil {
		return a.refuse(guard.EgressDenied, err.Error())
	}
	found := []netip.Addr{d.IP}
	if !d.IP.IsValid() {
		if found, err = j.lookup(ctx, d.Host); err != nil {
			return a.refuse(guard.GuardError, err.Error())
		}
		if why := e.Forbids(d.Host, found); why != "" {
			return a.refuse(guard.EgressDenied, why)
		}
	}
	a.Allow, a.Out.Address = true, netip.AddrPortFrom(pick(found), uint16(d.Port))
	return a
}

func (a *Answer) refuse(reason guard.Reason, detail string) Answer {
	a.Allow, a.Reason, a.Detail = false, reason, detail
	return *a
}

func (j *Judge) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if known, ok := j.Resolver.Known(host); ok {
		return known, nil
	}
	found, err := j.Resolver.Lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("outbound: lookup %s: %w", host, err)
	}
	return found, nil
}

// pick chooses one of the addresses that were judged, IPv4 before IPv6, which not
// every network has a way for. By chance, because some may not answer, and the next
// attempt should find another.
func pick(found []netip.Addr) netip.Addr {
	var four []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		}
	}
	if len(four) > 0 {
		found = four
	}
	return found[rand.N(len(found))] //nolint:gosec // spreads load, hides nothing
}

// read returns where a request leads, and the list that it is held against. What
// flows in a tunnel is not seen, so that it counts as https.
func (w *Workload) read(r *Request) (d destination.Destination, p *destination.Policy, err error) {
	if strings.ContainsAny(r.Authority, "/?#") {
		return d, nil, fmt.Errorf("outbound: read: the authority %q is not a host", r.Authority)
	}
	d, err = destination.ParseHost(r.Authority)
	switch {
	case err != nil:
		return d, nil, err
	case r.Method == connect && r.Protocol != "":
		return d, nil, fmt.Errorf("outbound: read: CONNECT for %q is not served", r.Protocol)
	case r.Method == connect && d.Port == 0:
		return d, nil, fmt.Errorf("outbound: read: CONNECT without a port")
	case r.Method == connect:
		d.Scheme = "https"
		return d, &w.tunnels, nil
	case r.Upgrade != "": // a tunnel by another name: what follows is bytes, perhaps of further requests
		return d, nil, fmt.Errorf("outbound: read: an upgrade to %q; use CONNECT", r.Upgrade)
	case r.Scheme != "http":
		return d, nil, fmt.Errorf("outbound: read: a plain request for %s; use CONNECT", r.Scheme)
	}
	if d.Scheme = "http"; d.Port == 0 {
		d.Port = 80
	}
	return d, &w.requests, nil
}
