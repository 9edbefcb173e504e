package identity

import (
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/integration/testenv"
)

// svid returns a JWT-SVID.
func svid(t testing.TB, key *ecdsa.PrivateKey, id, audience string, lives time.Duration) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1").WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	return testenv.Sign(t, s, map[string]any{"sub": id, "aud": []string{audience}, "iat": time.Now().Unix() - 1, "exp": time.Now().Add(lives).Unix()})
}

// Keys come from the Workload API and change while the gateway serves.
func TestAWorkloadShowsAJWTSVID(t *testing.T) {
	company := testenv.NewAuthority(t, "spiffe://company.example")
	api := startWorkloadAPI(t)
	api.give(t, company.Issue(t, time.Hour, gatewayID), []*testenv.Certificate{company}, nil)
	ours, theirs, strangers, next := testenv.NewKey(t), testenv.NewKey(t), testenv.NewKey(t), testenv.NewKey(t)
	api.giveKeys(t, map[string]*ecdsa.PrivateKey{"company.example": ours, "partner.example": theirs, "stranger.example": strangers})
	upstream, seen := answering(t)
	config := strings.Replace(testenv.Config(t, "  - {name: crm, url: "+upstream+"}\n", ""), "authentication: {method: none}", `authentication: {method: JWT, workload_identity: "SPIFFE"}`, 1)
	config += fmt.Sprintf("guards: {identity: {public_url: %s}}\nspiffe: {workload_api: \"unix://%s\", trust_domains: [company.example, partner.example], jwt_svids: {accept: true}}\n", public, api.socket)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	g := testenv.StartFile(t, path)

	const partnerID = "spiffe://partner.example/robot"
	crm := public + "/mcp/crm"
	call := func(token string) int {
		t.Helper()
		resp, body, err := do(t.Context(), http.DefaultClient, g.MCP+"/mcp/crm", "Authorization", "Bearer "+token,
			"X-Forwarded-Client-Cert", "By="+gatewayID+";URI=spiffe://company.example/root", "X-Spiffe-Id", "spiffe://company.example/root")
		if err != nil {
			t.Fatal(err)
		}
		if challenge := resp.Header.Get("Www-Authenticate"); resp.StatusCode == http.StatusUnauthorized && !strings.Contains(challenge, "resource_metadata=") {
			t.Errorf("no challenge but %q: %s", challenge, body)
		}
		return resp.StatusCode
	}
	for _, tt := range []struct {
		name, token string
		status      int
	}{
		{"ours", svid(t, ours, deskID, crm, time.Minute), 200},
		{"of a federated domain", svid(t, theirs, partnerID, crm, time.Minute), 200},
		{"for another server", svid(t, ours, deskID, public+"/mcp/data", time.Minute), 401},
		{"expired", svid(t, ours, deskID, crm, -time.Minute), 401},
		{"of a domain that is not believed", svid(t, strangers, "spiffe://stranger.example/x", crm, time.Minute), 401},
		{"of a partner that calls itself ours", svid(t, theirs, deskID, crm, time.Minute), 401},
		{"by a key that is not there yet", svid(t, next, deskID, crm, time.Minute), 401},
	} {
		if got := call(tt.token); got != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.status)
		}
	}
	if r := g.ReceiptsWith(t, `"peer":"`+partnerID+`"`); !strings.Contains(r, `"peer":"`+deskID+`"`) || strings.Contains(r, "example/root") {
		t.Errorf("a forged header spoke, or the JWT-SVID did not:\n%s", r)
	}
	for len(seen) > 0 {
		if h := <-seen; h.Get("Authorization") != "" || h.Get("X-Forwarded-Client-Cert") != "" || h.Get("X-Spiffe-Id") != "" {
			t.Errorf("the server was told %v", h)
		}
	}
	old := svid(t, ours, deskID, crm, time.Minute)
	if call(old) != 200 {
		t.Error("not good before the rotation")
	}
	api.giveKeys(t, map[string]*ecdsa.PrivateKey{"company.example": next})
	fresh := svid(t, next, deskID, crm, time.Minute)
	testenv.Eventually(t, time.Minute, "the new key", func() bool { return call(fresh) == 200 })
	if got := call(old); got != 401 {
		t.Errorf("a remembered JWT-SVID of a key that left: %d", got)
	}
}

// Files take the place of the Workload API, for callers and their replacement.
func TestAnSVIDFromFilesIsReplacedWhole(t *testing.T) {
	company, next := testenv.NewAuthority(t, "spiffe://company.example"), testenv.NewAuthority(t, "spiffe://company.example")
	dir := t.TempDir()
	first := company.Issue(t, time.Hour, gatewayID)
	first.Write(t, dir, "server")
	testenv.Write(t, filepath.Join(dir, "bundle.pem"), company.PEM())
	upstream, _ := answering(t)
	g := secure(t, upstream, `method: mTLS, workload_identity: "SPIFFE"`, "spiffe: true", fmt.Sprintf(
		"spiffe: {files: {certificate: %q, key: %q, bundles: [{trust_domain: company.example, x509: %q}]}, trust_domains: [company.example]}\n",
		dir+"/server.pem", dir+"/server.key", dir+"/bundle.pem"))
	desk := company.Issue(t, time.Hour, deskID)
	shown := func(by *testenv.Certificate, desk *testenv.Certificate, trusts ...*testenv.Certificate) func() bool {
		return func() bool {
			resp, _, err := post(t, g, asWorkload(t, desk, trusts...))
			return err == nil && resp.StatusCode == http.StatusOK && resp.TLS.PeerCertificates[0].SerialNumber.Cmp(by.SerialNumber) == 0
		}
	}
	testenv.Eventually(t, time.Minute, "the SVID of the files", shown(first, desk, company))
	second := next.Issue(t, time.Hour, gatewayID)
	second.Write(t, dir, "server") // its bundle has not come yet, so the first serves on
	testenv.Eventually(t, time.Minute, "the status to say why", func() bool { return strings.Contains(g.Get(t, "/v1/status"), "bundle verifies now") })
	if !shown(first, desk, company)() {
		t.Error("a half replaced SVID is in force")
	}
	testenv.Write(t, filepath.Join(dir, "bundle.pem"), company.PEM()+next.PEM())
	testenv.Eventually(t, time.Minute, "the new SVID", shown(second, desk, company, next))
	if !shown(second, next.Issue(t, time.Hour, deskID), next)() {
		t.Error("callers of the new authority are not believed")
	}
}
