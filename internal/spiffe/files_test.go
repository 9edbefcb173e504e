package spiffe

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/sallyport/sallyport/integration/testenv"
)

const gatewayID = "spiffe://company.example/gateway"

func jwks(t testing.TB, d *testenv.Certificate, id string) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: d.Key.Public(), KeyID: id, Use: "jwt-svid"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// put writes files into dir, each in one step.
func put(t testing.TB, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		testenv.Write(t, filepath.Join(dir, name), text)
	}
}

func filesIn(dir string) Files {
	at := func(name string) string { return filepath.Join(dir, name) }
	return Files{Certificate: at("svid.pem"), Key: at("svid.key"), Bundles: []BundleFile{
		{TrustDomain: "company.example", X509: at("company.pem"), JWKS: at("company.jwks")}, {TrustDomain: "partner.example", X509: at("partner.pem")},
	}}
}

func TestFilesAreTakenTogetherOrNotAtAll(t *testing.T) {
	company, partner := testenv.NewAuthority(t, "spiffe://company.example"), testenv.NewAuthority(t, "spiffe://partner.example")
	svid := company.Issue(t, time.Hour, gatewayID)
	cert, key := svid.PEM(), svid.KeyPEM(t)
	dir := t.TempDir()
	put(t, dir, map[string]string{"svid.pem": cert, "svid.key": key, "company.pem": company.PEM(), "partner.pem": partner.PEM(), "company.jwks": jwks(t, company, "k1")})
	s, err := Open(t.Context(), Options{Files: filesIn(dir), TrustDomains: []string{"company.example", "partner.example"}, JWT: true, Log: slog.New(slog.DiscardHandler), look: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := s.Current()
	td := spiffeid.RequireTrustDomainFromString("company.example")
	if b, ok := s.Keys().Get(td); !ok || b.Empty() || first.ID != gatewayID || len(first.Bundles) != 2 {
		t.Fatalf("%+v, %v", first, ok)
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		testenv.Eventually(t, time.Minute, what, ok)
	}

	// Half of a rotation: the certificate came, its key did not yet.
	svid = company.Issue(t, 2*time.Hour, gatewayID)
	cert, key = svid.PEM(), svid.KeyPEM(t)
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
	stale, foreign := company.Issue(t, -time.Second, gatewayID), partner.Issue(t, time.Hour, "spiffe://partner.example/gateway")
	alien, other := partner.Issue(t, time.Hour, gatewayID), testenv.NewAuthority(t, "spiffe://company.example").Issue(t, time.Hour, gatewayID)
	for name, bad := range map[string]map[string]string{
		"one that expired":                   {"svid.pem": stale.PEM(), "svid.key": stale.KeyPEM(t)},
		"of its name, by another domain":     {"svid.pem": alien.PEM(), "svid.key": alien.KeyPEM(t)},
		"an SVID of no listed authority":     {"svid.pem": other.PEM()},
		"garbage":                            {"svid.pem": "garbage"},
		"a bundle that does not hold its CA": {"company.pem": testenv.NewAuthority(t, "spiffe://company.example").PEM()},
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
		put(t, dir, map[string]string{"svid.pem": cert, "svid.key": key, "company.pem": company.PEM(), "partner.pem": partner.PEM(), "company.jwks": jwks(t, company, "k2")})
		eventually("mended", func() bool { return s.Err() == nil })
		last = s.Current()
	}
	// Another trust domain's SVID is good by itself: who the gateway is, files say.
	put(t, dir, map[string]string{"svid.pem": foreign.PEM(), "svid.key": foreign.KeyPEM(t)})
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
