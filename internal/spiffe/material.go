package spiffe

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// Material is what proves who the gateway is, and who others are. It is
// immutable.
type Material struct {
	ID         string
	Expires    time.Time
	Chain, Key []byte            // PEM
	Bundles    map[string][]byte // PEM of the authorities of each trust domain
}

// TrustDomains returns the domains that there are bundles of, sorted.
func (m *Material) TrustDomains() []string { return slices.Sorted(maps.Keys(m.Bundles)) }

// LogValue keeps the key out of logs.
func (m *Material) LogValue() slog.Value { return slog.StringValue(m.ID) }

// materialOf takes the default SVID, which is the first (SPIFFE Workload API,
// 5.3), and the bundles of the wanted domains; missing are those without any.
func materialOf(c *workloadapi.X509Context, domains []string) (m *Material, missing []string, err error) {
	if len(c.SVIDs) == 0 {
		return nil, nil, errors.New("spiffe: the workload api gave no X.509-SVID")
	}
	svid := c.DefaultSVID()
	m = &Material{ID: svid.ID.String(), Bundles: make(map[string][]byte, len(domains))}
	for _, one := range svid.Certificates { // the chain is as good as its first to end
		if m.Expires.IsZero() || one.NotAfter.Before(m.Expires) {
			m.Expires = one.NotAfter
		}
	}
	if m.Chain, m.Key, err = svid.Marshal(); err != nil {
		return nil, nil, fmt.Errorf("spiffe: %s: %w", m.ID, err)
	}
	for _, name := range domains {
		domain, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, nil, fmt.Errorf("spiffe: trust domain %q: %w", name, err)
		}
		bundle, ok := c.Bundles.Get(domain)
		if !ok || bundle.Empty() {
			missing = append(missing, name)
			continue
		}
		if m.Bundles[domain.Name()], err = bundle.Marshal(); err != nil {
			return nil, nil, fmt.Errorf("spiffe: bundle of %s: %w", name, err)
		}
	}
	if len(m.Bundles) == 0 {
		return nil, nil, fmt.Errorf("spiffe: the workload api has a bundle of none of the trust domains %v", domains)
	}
	return m, missing, nil
}
