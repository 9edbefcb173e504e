package config_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

// crm is a server that says this of the workload that it is.
func crm(spiffe string) string {
	return "servers: [{name: crm, url: https://crm.internal/mcp, tls: {spiffe: {" + spiffe + "}}}]\n"
}

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
		{"files in place of the API", says, "spiffe: {files: {certificate: a.pem, key: a.key, bundles: [{trust_domain: company.com, x509: b.pem}]}, trust_domains: [company.com]}\n" + asks, ""},
		{"files beside the API", says, strings.Replace(api, "{", "{files: {certificate: a.pem, key: a.key, bundles: [{trust_domain: company.com, x509: b.pem}]}, ", 1) + asks, "spiffe.files: cannot stand beside workload_api"},
		{"a file without its key", says, "spiffe: {files: {certificate: a.pem, bundles: [{trust_domain: company.com, x509: b.pem}]}, trust_domains: [company.com]}\n" + asks, "spiffe.files.certificate: is required, and key"},
		{"no bundle", says, "spiffe: {files: {certificate: a.pem, key: a.key}, trust_domains: [company.com]}\n" + asks, "spiffe.files.bundles: is required"},
		{"two bundles of one domain", says, "spiffe: {files: {certificate: a.pem, key: a.key, bundles: [{trust_domain: company.com, x509: b.pem}, {trust_domain: company.com, x509: c.pem}]}, trust_domains: [company.com]}\n" + asks, "is already that of another bundle"},
		{"tokens of workloads", "method: JWT, workload_identity: SPIFFE", strings.Replace(api, "{", "{jwt_svids: {accept: true}, ", 1), ""},
		{"tokens of workloads that no file could verify", "method: JWT, workload_identity: SPIFFE", "spiffe: {jwt_svids: {accept: true}, files: {certificate: a.pem, key: a.key, bundles: [{trust_domain: company.com, x509: b.pem}]}, trust_domains: [company.com]}\n", "hold no jwks"},
		{"tokens of workloads where none are asked for", says, strings.Replace(api, "{", "{jwt_svids: {accept: true}, ", 1) + asks, "spiffe.jwt_svids.accept: needs a gateway.authentication.method with JWT"},
		{"tokens of anybody", "method: JWT, workload_identity: SPIFFE", "spiffe: {jwt_svids: {accept: true}, workload_api: unix:///run/agent.sock}\n", "spiffe.trust_domains: is required"},
		{"audiences of tokens that are not accepted", says, strings.Replace(api, "{", "{jwt_svids: {audiences: [x]}, ", 1) + asks, "has no effect without accept"},
		{"a server that is a workload", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + crm("id: \"spiffe://company.com/crm\""), ""},
		{"a server of a domain", "method: JWT", "identity_framework: {workload_identity: SPIFFE}\nspiffe: {workload_api: unix:///run/agent.sock}\n" + crm("trust_domain: company.com"), ""},
		{"a server that is to be a workload for a gateway that is none", "method: none", crm("trust_domain: company.com"), "server crm: tls.spiffe needs gateway.authentication.workload_identity"},
		{"a server that is any workload", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + crm(""), "servers[0].tls.spiffe.id: is required, or trust_domain"},
		{"a server that is said twice", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + crm("id: \"spiffe://a.com/crm\", trust_domain: b.com"), "cannot stand beside id"},
		{"a server that is a whole domain", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + crm("id: \"spiffe://company.com\""), "is not the SPIFFE id of a workload"},
		{"a server whose id leads elsewhere", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + crm("id: \"spiffe://company.com/a/../b\""), "is not the SPIFFE id of a workload"},
		{"a server with an authority beside", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + strings.Replace(crm("trust_domain: company.com"), "{spiffe", "{ca: certs/ca.pem, spiffe", 1), "servers[0].tls.ca: cannot stand beside spiffe"},
		{"a server over plain HTTP", "method: none, workload_identity: SPIFFE", "spiffe: {workload_api: unix:///run/agent.sock}\n" + strings.Replace(crm("trust_domain: company.com"), "https", "http", 1), "servers[0].tls: needs an https URL"},
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
