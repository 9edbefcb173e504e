// Package resolver looks names up and remembers the answers for a short while.
package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Resolver caches what DNS says. The zero value is not ready; use New.
type Resolver struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	now    func() time.Time
	keep   time.Duration

	mu    sync.RWMutex
	names map[string]answer
}

type answer struct {
	addrs []netip.Addr
	until time.Time
}

const (
	keep  = 30 * time.Second // short, because names move, also on purpose
	limit = 4096             // names; whoever sends more only makes us ask again
)

// Options say whom to ask. The zero value asks the system's resolver.
type Options struct {
	Server string        // DNS server, host:port
	Keep   time.Duration // how long an answer is used again; 30 s when zero
}

// New returns a resolver.
func New(o Options) *Resolver {
	if o.Keep <= 0 {
		o.Keep = keep
	}
	r := new(net.Resolver)
	if o.Server != "" {
		r.PreferGo = true
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, o.Server)
		}
	}
	return with(func(ctx context.Context, host string) ([]netip.Addr, error) {
		return r.LookupNetIP(ctx, "ip", host+".") // never below a search domain
	}, o.Keep, time.Now)
}

func with(lookup func(context.Context, string) ([]netip.Addr, error), keep time.Duration, now func() time.Time) *Resolver {
	return &Resolver{lookup: lookup, now: now, keep: keep, names: make(map[string]answer)}
}

// Known returns the addresses of a name that was looked up lately.
func (r *Resolver) Known(host string) ([]netip.Addr, bool) {
	r.mu.RLock()
	a, ok := r.names[host]
	r.mu.RUnlock()
	if !ok || r.now().After(a.until) {
		return nil, false
	}
	return a.addrs, true
}

// Lookup asks. That a name does not exist is remembered like an answer; that
// nobody answered is not.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := r.lookup(ctx, host)
	var dns *net.DNSError
	if err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
		return nil, err
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if len(r.names) >= limit {
		for name, a := range r.names {
			if now.After(a.until) {
				delete(r.names, name)
			}
		}
		if len(r.names) >= limit {
			clear(r.names)
		}
	}
	r.names[host] = answer{addrs, now.Add(r.keep)}
	return addrs, nil
}
