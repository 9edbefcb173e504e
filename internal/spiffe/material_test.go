package spiffe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// certificate is one that issued itself.
func certificate(t testing.TB, id string, ends time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), URIs: []*url.URL{uri}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func TestTheDefaultSVIDAndAllBundlesAreTaken(t *testing.T) {
	soon, late := time.Now().Add(time.Minute).Truncate(time.Second), time.Now().Add(time.Hour)
	leaf, key := certificate(t, "spiffe://a.example/gateway", late)
	intermediate, _ := certificate(t, "spiffe://a.example", soon)
	bundle := func(name string, full bool) *x509bundle.Bundle {
		b := x509bundle.New(spiffeid.RequireTrustDomainFromString(name))
		if full {
			c, _ := certificate(t, "spiffe://"+name, late)
			b.AddX509Authority(c)
		}
		return b
	}
	svids := []*x509svid.SVID{{ID: spiffeid.RequireFromString("spiffe://a.example/gateway"), Certificates: []*x509.Certificate{leaf, intermediate}, PrivateKey: key}}
	m, err := fromAPI(&workloadapi.X509Context{SVIDs: svids, Bundles: x509bundle.NewSet(bundle("a.example", true), bundle("b.example", true), bundle("empty.example", false))})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.TrustDomains(); m.TrustDomain != "a.example" || !slices.Equal(got, []string{"a.example", "b.example"}) {
		t.Errorf("of %s, bundles of %v", m.TrustDomain, got)
	}
	if !m.Expires.Equal(soon) {
		t.Errorf("expires %v, though an intermediate ends at %v", m.Expires, soon)
	}
	if first, rest := pem.Decode(m.Chain); first == nil || len(rest) == 0 || string(first.Bytes) != string(leaf.Raw) {
		t.Error("the chain does not begin with the SVID, or lost the rest")
	}
	if text := fmt.Sprint(m.LogValue()); strings.Contains(text, "KEY") {
		t.Errorf("a log would say %s", text)
	}
	if missing, err := m.check([]string{"a.example", "empty.example", "c.example"}); err != nil || !slices.Equal(missing, []string{"empty.example", "c.example"}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	if _, err := m.check([]string{"empty.example"}); err == nil {
		t.Error("an identity is taken that could verify nobody")
	}
	if _, err := m.check(nil); err != nil {
		t.Error("a gateway that believes no callers has no identity towards servers", err)
	}
	if _, err := fromAPI(&workloadapi.X509Context{SVIDs: svids, Bundles: x509bundle.NewSet(bundle("b.example", true))}); err == nil {
		t.Error("an identity without the bundle of its own trust domain is taken")
	}
	if _, err := fromAPI(&workloadapi.X509Context{}); err == nil {
		t.Error("an identity was made of nothing")
	}
}
