package config_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

func TestRedisSettingsThatContradictEachOther(t *testing.T) {
	head := "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\nservers:\n  - {name: a, url: \"http://127.0.0.1:1/\"}\n"
	for block, want := range map[string]string{
		`{addresses: ["r:6379"]}`: "",
		`{addresses: ["a:1", "b:1"], cluster: true, password: "env:X", tls: {enabled: true}}`: "",
		`{addresses: ["a:1", "b:1"], sentinel_master: m, database: 3}`:                        "",
		`{password: "env:X"}`:                                     "needs addresses",
		`{addresses: ["a:1", "b:1"]}`:                             "is more than one",
		`{addresses: ["a:1"], cluster: true, sentinel_master: m}`: "cannot be with cluster",
		`{addresses: ["a:1"], cluster: true, database: 1}`:        "must be 0",
		`{addresses: ["a:1"], tls: {ca: x.pem}}`:                  "needs enabled: true",
		`{addresses: ["a:1"], tls: {enabled: true, key: x.pem}}`:  "needs certificate and key",
		`{addresses: ["a:1"], prefix: ""}`:                        "is empty",
		`{addresses: ["a:1"], password: hunter2}`:                 "secrets do not belong into configuration",
	} {
		_, err := config.Parse("x.yaml", []byte(head+"redis: "+block+"\n"), config.Options{Available: config.Capabilities{"gateway"}})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", block, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: got %v, want %q", block, err, want)
		}
	}
}
