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
	TrustDomains []string  `json:"trust_domains"`      // whose workloads are believed as callers, with a bundle
	Bundles      []string  `json:"bundles"`            // trust domains that there is a bundle of, for servers
	JWTKeys      []string  `json:"jwt_keys,omitempty"` // trust domains whose JWT-SVIDs can be verified
	Error        string    `json:"error,omitempty"`
}

// openSPIFFE gets the gateway's identity, if it is to have one, before anything
// is served.
func (g *Gateway) openSPIFFE(ctx context.Context) (err error) {
	if !g.cfg.UsesSPIFFE() {
		return nil
	}
	c := g.cfg.SPIFFE
	o := spiffe.Options{Address: string(c.WorkloadAPI), TrustDomains: trustDomains(g.cfg), JWT: c.JWTSVIDs.Accept, Log: g.log}
	o.Files.Certificate, o.Files.Key = c.Files.Certificate, c.Files.Key
	for _, b := range c.Files.Bundles {
		o.Files.Bundles = append(o.Files.Bundles, spiffe.BundleFile{TrustDomain: string(b.TrustDomain), X509: b.X509, JWKS: b.JWKS})
	}
	g.spiffe, err = spiffe.Open(ctx, o)
	g.lasting.workloads = g.spiffe
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
	return &xds.Workload{TrustDomain: m.TrustDomain, Chain: m.Chain, Key: m.Key, Bundles: m.Bundles, Callers: trustDomains(g.cfg)}
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
	s := &SPIFFE{ID: m.ID, Expires: m.Expires, TrustDomains: []string{}, Bundles: m.TrustDomains()}
	for _, domain := range trustDomains(g.cfg) {
		if m.Bundles[domain] != nil {
			s.TrustDomains = append(s.TrustDomains, domain)
		}
	}
	if keys := g.spiffe.Keys(); keys != nil {
		for _, bundle := range keys.Bundles() {
			s.JWTKeys = append(s.JWTKeys, bundle.TrustDomain().Name())
		}
	}
	if err := g.spiffe.Err(); err != nil {
		s.Error = err.Error()
	}
	return s
}
