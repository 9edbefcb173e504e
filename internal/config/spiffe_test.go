package config_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

// What is said of workload identities takes effect, or is refused.
func TestSPIFFEIsSaidInFullOrNotAtAll(t *testing.T) {
	t.Chdir(t.TempDir())
	certificates(t, "certs")
	o := options()
	o.Available = append(o.Available, "gateway.authentication", "identity_framework")
	const (
		api    = "spiffe: {workload_api: unix:///run/agent.sock, trust_domains: [company.com]}\n"
		asks   = "listeners: [{address: 0.0.0.0:8443, tls: {spiffe: true}}]\n"
		mutual = "listeners: [{address: 0.0.0.0:8443, tls: {certificate: certs/client.pem, key: certs/client.key, client_ca: certs/ca.pem}}]\n"
		says   = "method: mTLS, workload_identity: SPIFFE"
	)
	for _, tt := range []struct {
		name, authentication, rest string
		want                       string // empty: accepted
	}{
		{"all of it", says, api + asks, ""},
		{"said in the other block", "method: mTLS + JWT", "identity_framework: {workload_identity: SPIFFE/SPIRE}\n" + api + asks, ""},
		{"a certificate of the gateway's own beside it", says, api + "listeners: [{address: 0.0.0.0:8443, tls: {spiffe: true, certificate: certs/client.pem, key: certs/client.key}}]\n", ""},
		{"an API over loopback", says, "spiffe: {workload_api: \"tcp://127.0.0.1:8081\", trust_domains: [company.com]}\n" + asks, ""},
		{"no API", says, asks, "spiffe.workload_api: is required"},
		{"no trust domains", says, "spiffe: {workload_api: unix:///run/agent.sock}\n" + asks, "spiffe.trust_domains: is required"},
		{"an empty list of them", says, "spiffe: {workload_api: unix:///run/agent.sock, trust_domains: []}\n" + asks, "spiffe.trust_domains"},
		{"an id for a domain", says, "spiffe: {workload_api: unix:///run/agent.sock, trust_domains: [\"spiffe://company.com\"]}\n" + asks, "is not a trust domain"},
		{"keys over the network", says, "spiffe: {workload_api: \"tcp://10.0.0.1:8081\", trust_domains: [company.com]}\n" + asks, "is not a loopback address"},
		{"a relative socket", says, "spiffe: {workload_api: \"unix:agent.sock\", trust_domains: [company.com]}\n" + asks, "is not the address of a Workload API"},
		{"no listener that asks", says, api + mutual, "gateway.authentication.workload_identity: is used by no listener"},
		{"a listener that asks somebody else", says, api + mutual, "cannot tell SPIFFE ids from others"},
		{"both on one listener", says, api + strings.Replace(mutual, "client_ca", "spiffe: true, client_ca", 1), "cannot stand beside spiffe"},
		{"nobody is identified", "method: none, workload_identity: SPIFFE", api + "listeners: [{address: 127.0.0.1:8443, tls: {spiffe: true}}]\n", "identifies nobody"},
		{"an API that nobody asks", "method: mTLS", api + mutual, "spiffe: is of no use"},
		{"a listener alone", "method: mTLS", asks, "listeners[0].tls.spiffe: needs gateway.authentication.workload_identity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse("sallyport.yaml", []byte("gateway:\n  authentication: {"+tt.authentication+"}\n  authorization: {policy_engine: none}\n"+tt.rest), o)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
