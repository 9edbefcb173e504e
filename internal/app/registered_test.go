package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

func TestServersAreShownAsTheirOwnersDeclareThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	text := `gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
servers:
  - name: crm
    description: Customers and what they bought.
    owner: sales
    domain: customers
    data_classification: confidential
    versions:
      - {name: blue, weight: 9, url: "http://127.0.0.1:1/mcp"}
      - {name: green, weight: 1, url: "https://crm.example/mcp"}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(registered(cfg.View()))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"crm","description":"Customers and what they bought.","owner":"sales","domain":"customers","data_classification":"confidential",` +
		`"versions":[{"name":"blue","weight":9,"endpoints":["http://127.0.0.1:1/mcp"]},{"name":"green","weight":1,"endpoints":["https://crm.example:443/mcp"]}],` +
		`"declared":"` + path + `:3:5"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
