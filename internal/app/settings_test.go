package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/standard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/report"
)

func TestSettingsAreToldInTheWordsOfFilesAndWithoutSecrets(t *testing.T) {
	t.Setenv("SETTINGS_TEST_KEY", "s3cr3t")
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	text := `gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
guards: {dlp: {key: "env:SETTINGS_TEST_KEY", to_client: {pii: mask}}, injection: {mode: shadow}}
servers: [{name: crm, url: "http://127.0.0.1:1/", owner: sales, data_classification: confidential, tools: [{name: pay, sensitive: true}]}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Settings(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := report.Settings(tree)
	for at, want := range map[string]string{
		"gateway.authentication.method": "none", "guards.dlp.to_client.pii": "mask", "guards.dlp.to_server.secret": "block", "guards.dlp.mode": "enforce", "guards.injection.mode": "shadow",
		"guards.dlp.key": "env:SETTINGS_TEST_KEY", "receipts.when_full": "block", "receipts.checkpoint_every": "10s", "servers.count": "1", "servers.owner": "all", "guards.*.on_error": "deny", "guards.*.mode": "not all: injection shadow", "servers.sensitive_tools": "1",
		"limits.body": "4MiB",
	} {
		if got, set := s.Value(at); got != want || !set {
			t.Errorf("%s is %q, %v; want %q", at, got, set, want)
		}
	}
	for _, at := range []string{"receipts.directory", "receipts.nothing", "nothing", "receipts.sealing.payloads", "servers.financial_tools"} {
		if got, set := s.Value(at); set {
			t.Errorf("%s is set: %q", at, got)
		}
	}
}

// Every pointer of a framework leads to a setting that exists, so that no report
// says "not configured" of a misspelling.
func TestEveryPointerOfAFrameworkIsASetting(t *testing.T) {
	known := map[string]bool{"guards.*.on_error": true, "guards.*.mode": true, "servers.count": true, "servers.owner": true, "servers.data_classification": true, "servers.tools": true,
		"servers.sensitive_tools": true, "servers.destructive_tools": true, "servers.financial_tools": true, "servers.external_tools": true}
	settings(config.Describe(ConfigOptions()), known)
	reasons, guards := map[string]bool{}, map[string]bool{}
	for _, r := range guard.CoreReasons() {
		reasons[string(r.Reason)] = true
	}
	for _, spec := range standard.Specs(standard.Ports{}) {
		guards[spec.Name] = true
		for _, r := range spec.Reasons {
			reasons[string(r.Reason)] = true
		}
	}
	topics, err := report.Topics()
	if err != nil {
		t.Fatal(err)
	}
	for topic, e := range topics {
		for _, s := range e.Config {
			if !known[s.At] {
				t.Errorf("%s: %s is no setting", topic, s.At)
			}
		}
		for _, q := range e.Receipts {
			for _, r := range q.Reason {
				if !reasons[r] {
					t.Errorf("%s: %s is no reason", topic, r)
				}
			}
			for _, g := range append(q.Guard, q.Found...) {
				if !guards[g] {
					t.Errorf("%s: %s is no guard", topic, g)
				}
			}
		}
	}
}

func settings(s strict.Setting, into map[string]bool) {
	into[s.Path] = true
	for _, c := range s.Children {
		settings(c, into)
	}
	if s.Elem != nil {
		settings(*s.Elem, into)
	}
}
