package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

// What is said of keys takes effect, or the gateway does not begin.
func TestKeysThatBindNothingAreRefused(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GOOD", strings.Repeat("k", 32))
	t.Setenv("SHORT", "changeme")
	for _, tt := range []struct{ name, method, more, want string }{
		{"a key", "JWT", `binding: {keys: ["env:GOOD"]}`, ""},
		{"none", "JWT", ``, ""},
		{"a short one", "JWT", `binding: {keys: ["env:GOOD", "env:SHORT"]}`, "at least 32 are needed"},
		{"one that is not there", "JWT", `binding: {keys: ["env:ABSENT"]}`, "env:ABSENT"},
		{"a secret in the place of its reference", "JWT", `binding: {keys: ["kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"]}`, "is not a reference to a secret"},
		{"lists of what is not bound", "JWT", `binding: {list_tasks: true}`, "list_tasks: has no effect without keys"},
		{"nobody to bind to", "none", `binding: {keys: ["env:GOOD"]}`, "tells nobody apart"},
		{"a guard that is off", "JWT", `binding: {mode: off, keys: ["env:GOOD"]}`, "mode must be enforce"},
		{"ext_authz, which sees no responses", "JWT", "binding: {keys: [\"env:GOOD\"]}\nextauthz: {role: required}", "guards.binding"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, "sallyport.yaml")
			text := "gateway:\n  authentication: {method: " + tt.method + "}\n  authorization: {policy_engine: none}\nguards:\n  envelope: {denied_methods: [\"to_client:ping\"]}\n"
			if tt.method != "none" {
				text += "  identity: {public_url: \"https://mcp.example.com\", issuers: [{url: \"https://id.example.com\"}]}\n"
			}
			if err := os.WriteFile(path, []byte(text+"  "+tt.more+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			snap, err := Snapshot(path)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if err != nil {
				if strings.Contains(err.Error(), "kkkk") || strings.Contains(err.Error(), "changeme") {
					t.Errorf("the error tells the secret: %v", err)
				}
				return
			}
			cfg, err := config.Load(path, ConfigOptions())
			if err != nil {
				t.Fatal(err)
			}
			bound := strings.Contains(tt.more, "keys")
			if s := bindingStatus(cfg, snap); s.Bound != bound || (s.Why == unbound) == bound {
				t.Errorf("the status is %+v", s)
			}
		})
	}
}
