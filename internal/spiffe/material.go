package spiffe

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// Material is what proves who the gateway is, and who others are. It is
// immutable.
type Material struct {
	ID          string
	TrustDomain string
	Expires     time.Time
	Chain, Key  []byte            // PEM
	Bundles     map[string][]byte // PEM of the authorities of each trust domain that is known
}

// TrustDomains returns the domains that there are bundles of, sorted.
func (m *Material) TrustDomains() []string { return slices.Sorted(maps.Keys(m.Bundles)) }

// LogValue keeps the key out of logs.
func (m *Material) LogValue() slog.Value { return slog.StringValue(m.ID) }

// fromAPI takes the default SVID, which is the first (SPIFFE Workload API, 5.3).
func fromAPI(c *workloadapi.X509Context) (*Material, error) {
	if len(c.SVIDs) == 0 {
		return nil, errors.New("spiffe: the workload api gave no X.509-SVID")
	}
	return newMaterial(c.DefaultSVID(), c.Bundles.Bundles())
}

func newMaterial(svid *x509svid.SVID, bundles []*x509bundle.Bundle) (m *Material, err error) {
	m = &Material{ID: svid.ID.String(), TrustDomain: svid.ID.TrustDomain().Name(), Bundles: make(map[string][]byte, len(bundles))}
	for _, one := range svid.Certificates { // the chain is as good as its first to end
		if m.Expires.IsZero() || one.NotAfter.Before(m.Expires) {
			m.Expires = one.NotAfter
		}
	}
	if m.Chain, m.Key, err = svid.Marshal(); err != nil {
		return nil, fmt.Errorf("spiffe: %s: %w", m.ID, err)
	}
	for _, bundle := range bundles {
		if bundle.Empty() {
			continue
		}
		domain := bundle.TrustDomain().Name()
		if m.Bundles[domain], err = bundle.Marshal(); err != nil {
			return nil, fmt.Errorf("spiffe: bundle of %s: %w", domain, err)
		}
	}
	if m.Bundles[m.TrustDomain] == nil {
		return nil, fmt.Errorf("spiffe: there is no bundle of %s, the gateway's own trust domain", m.TrustDomain)
	}
	return m, nil
}

// check reports which of the wanted domains have no bundle; none at all is an
// error, since nobody could be verified.
func (m *Material) check(wanted []string) (missing []string, err error) {
	for _, domain := range wanted {
		if m.Bundles[domain] == nil {
			missing = append(missing, domain)
		}
	}
	if len(wanted) > 0 && len(missing) == len(wanted) {
		return nil, fmt.Errorf("spiffe: there is a bundle of none of the trust domains %v", wanted)
	}
	return missing, nil
}
