package app

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/internal/spiffe"
	"github.com/sallyport/sallyport/xds"
)

// SPIFFE tells which identity the gateway shows, and whose it believes.
type SPIFFE struct {
	ID           string    `json:"id"`
	Expires      time.Time `json:"expires"`
	TrustDomains []string  `json:"trust_domains"` // with a bundle
	Error        string    `json:"error,omitempty"`
}

// openSPIFFE gets the gateway's identity, if it is to have one, before anything
// is served.
func (g *Gateway) openSPIFFE(ctx context.Context) (err error) {
	if !g.cfg.UsesSPIFFE() {
		return nil
	}
	o := spiffe.Options{Address: string(g.cfg.SPIFFE.WorkloadAPI), TrustDomains: trustDomains(g.cfg), Log: g.log}
	g.spiffe, err = spiffe.Open(ctx, o)
	return err
}

func (g *Gateway) closeSPIFFE() {
	if g.spiffe != nil {
		g.spiffe.Close()
	}
}

// workload is the identity that Envoy gets.
func (g *Gateway) workload() *xds.Workload {
	if g.spiffe == nil {
		return nil
	}
	m := g.spiffe.Current()
	return &xds.Workload{Chain: m.Chain, Key: m.Key, Bundles: m.Bundles}
}

// followSPIFFE gives Envoy each new identity. Only secrets change, so no
// listener does and no connection ends.
func (g *Gateway) followSPIFFE(ctx context.Context) error {
	if g.spiffe == nil {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.spiffe.Changes():
		}
		if err := g.offerIdentity(); err != nil {
			g.log.Error("the new X.509-SVID was not taken; the last one serves on", "err", err)
		}
	}
}

func (g *Gateway) offerIdentity() error {
	g.offering.Lock()
	defer g.offering.Unlock()
	now, snap := g.judges.newest()
	b, err := g.resources(now.cfg, snap)
	if err != nil || b.version == now.version {
		return err
	}
	return g.offer(b)
}

func (g *Gateway) spiffeStatus() *SPIFFE {
	if g.spiffe == nil {
		return nil
	}
	m := g.spiffe.Current()
	s := &SPIFFE{ID: m.ID, Expires: m.Expires, TrustDomains: m.TrustDomains()}
	if err := g.spiffe.Err(); err != nil {
		s.Error = err.Error()
	}
	return s
}
