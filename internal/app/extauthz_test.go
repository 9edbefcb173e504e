package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
)

const wideOpen = "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\nservers:\n  - {name: one, url: \"http://127.0.0.1:1/\"}\n"

func TestAGuardThatNeedsResponsesForbidsRequiredExtAuthz(t *testing.T) {
	for name, c := range map[string]struct{ config, want string }{
		"no such guard":                  {"extauthz: {role: required}\n", ""},
		"a rule for replies":             {"extauthz: {role: required}\nguards: {envelope: {denied_methods: [\"to_client:sampling/*\"]}}\n", "guards.envelope: denied_methods has rules for messages to the client"},
		"a rule for requests":            {"extauthz: {role: required}\nguards: {envelope: {denied_methods: [\"to_server:resources/*\"]}}\n", ""},
		"a rule for replies, in shadow":  {"extauthz: {role: required}\nguards: {envelope: {mode: shadow, denied_methods: [\"to_client:sampling/*\"]}}\n", ""},
		"a rule for replies, by default": {"guards: {envelope: {denied_methods: [\"to_client:sampling/*\"]}}\n", ""},
		"a role that does not exist":     {"extauthz: {role: maybe}\n", "extauthz.role"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sallyport.yaml")
			if err := os.WriteFile(path, []byte(wideOpen+c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			err := app.Validate(path)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
