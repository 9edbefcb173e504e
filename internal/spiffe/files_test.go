package spiffe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// domain is an authority that issues SVIDs.
type domain struct {
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newDomain(t testing.TB, name string) *domain {
	t.Helper()
	d := &domain{name: name}
	var err error
	if d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), URIs: []*url.URL{{Scheme: "spiffe", Host: name}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, d.key.Public(), d.key)
	if err != nil {
		t.Fatal(err)
	}
	if d.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *domain) bundle() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.cert.Raw}))
}

// issue returns certificate and key of the gateway in PEM.
func (d *domain) issue(t testing.TB, lives time.Duration) (cert, secret string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), URIs: []*url.URL{{Scheme: "spiffe", Host: d.name, Path: "/gateway"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lives), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, d.cert, key.Public(), d.key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
}

func jwks(t testing.TB, d *domain, id string) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: d.key.Public(), KeyID: id, Use: "jwt-svid"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// put writes files into dir, each in one step.
func put(t testing.TB, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		tmp := filepath.Join(dir, "."+name)
		if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func filesIn(dir string) Files {
	at := func(name string) string { return filepath.Join(dir, name) }
	return Files{Certificate: at("svid.pem"), Key: at("svid.key"), Bundles: []BundleFile{
		{TrustDomain: "company.example", X509: at("company.pem"), JWKS: at("company.jwks")}, {TrustDomain: "partner.example", X509: at("partner.pem")},
	}}
}

func TestFilesAreTakenTogetherOrNotAtAll(t *testing.T) {
	company, partner := newDomain(t, "company.example"), newDomain(t, "partner.example")
	cert, key := company.issue(t, time.Hour)
	dir := t.TempDir()
	put(t, dir, map[string]string{"svid.pem": cert, "svid.key": key, "company.pem": company.bundle(), "partner.pem": partner.bundle(), "company.jwks": jwks(t, company, "k1")})
	s, err := Open(t.Context(), Options{Files: filesIn(dir), TrustDomains: []string{"company.example", "partner.example"}, JWT: true, Log: slog.New(slog.DiscardHandler), look: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := s.Current()
	td := spiffeid.RequireTrustDomainFromString("company.example")
	if b, ok := s.Keys().Get(td); !ok || b.Empty() || first.ID != "spiffe://company.example/gateway" || len(first.Bundles) != 2 {
		t.Fatalf("%+v, %v", first, ok)
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, s.Err())
			}
		}
	}

	// Half of a rotation: the certificate came, its key did not yet.
	cert, key = company.issue(t, 2*time.Hour)
	put(t, dir, map[string]string{"svid.pem": cert})
	eventually("the error", func() bool { return s.Err() != nil })
	if s.Current() != first {
		t.Fatal("a certificate without its key is in force")
	}
	put(t, dir, map[string]string{"svid.key": key})
	eventually("the rotation", func() bool { return s.Current() != first && s.Err() == nil })
	<-s.Changes()

	// What is not good is not taken, and the last good serves on.
	last := s.Current()
	stale, staleKey := company.issue(t, -time.Second)
	foreign, foreignKey := partner.issue(t, time.Hour)
	forged := *partner
	forged.name = "company.example"
	alien, alienKey := forged.issue(t, time.Hour)
	other, _ := newDomain(t, "company.example").issue(t, time.Hour)
	for name, bad := range map[string]map[string]string{
		"one that expired":                   {"svid.pem": stale, "svid.key": staleKey},
		"of its name, by another domain":     {"svid.pem": alien, "svid.key": alienKey},
		"an SVID of no listed authority":     {"svid.pem": other},
		"garbage":                            {"svid.pem": "garbage"},
		"a bundle that does not hold its CA": {"company.pem": newDomain(t, "company.example").bundle()},
		"an empty bundle":                    {"company.pem": ""},
		"a private key in its place":         {"partner.pem": key},
		"keys that are none":                 {"company.jwks": "{"},
		"a file of 2 MiB":                    {"partner.pem": strings.Repeat("x", 2<<20)},
	} {
		put(t, dir, bad)
		eventually(name, func() bool { return s.Err() != nil })
		if s.Current() != last {
			t.Errorf("%s: taken", name)
		}
		put(t, dir, map[string]string{"svid.pem": cert, "svid.key": key, "company.pem": company.bundle(), "partner.pem": partner.bundle(), "company.jwks": jwks(t, company, "k2")})
		eventually("mended", func() bool { return s.Err() == nil })
		last = s.Current()
	}
	// Another trust domain's SVID is good by itself: who the gateway is, files say.
	put(t, dir, map[string]string{"svid.pem": foreign, "svid.key": foreignKey})
	eventually("an SVID of the partner", func() bool { return s.Current().TrustDomain == "partner.example" })
	if err := os.Remove(filepath.Join(dir, "svid.key")); err != nil {
		t.Fatal(err)
	}
	eventually("a file that is gone", func() bool { return s.Err() != nil })
	if b, ok := s.Keys().Get(td); !ok || len(b.JWTAuthorities()) != 1 || b.JWTAuthorities()["k2"] == nil {
		t.Errorf("keys in force: %v", b)
	}
}

func TestAGatewayWithoutFilesDoesNotBegin(t *testing.T) {
	ctx, cancel := testContext(t)
	defer cancel()
	if _, err := Open(ctx, Options{Files: filesIn(t.TempDir()), Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "svid.pem") {
		t.Errorf("%v does not name the file", err)
	}
}

// testContext ends long before the source would give up.
func testContext(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 1500*time.Millisecond)
}
