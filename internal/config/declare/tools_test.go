package declare_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/declare"
)

func TestToolsTakeTheClassificationOfTheirServer(t *testing.T) {
	dir := t.TempDir()
	const text = `
name: bank
url: http://127.0.0.1:9/mcp
data_classification: confidential
tools:
  - {name: balance, read_only: true, idempotent: true}
  - {name: pay, data_classification: restricted, risk: critical, sensitive: true, financial: true, external: true}
  - {name: "*", destructive: true}
`
	if err := os.WriteFile(filepath.Join(dir, "bank.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	view, problems := declare.NewReader().View(nil, dir)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := guard.Server{Tools: view.Lookup("bank").Tools}
	for name, want := range map[string]guard.Tool{
		"balance": {Classification: "confidential", ReadOnly: true, Idempotent: true},
		"pay":     {Classification: "restricted", Risk: "critical", Sensitive: true, Financial: true, External: true},
		"other":   {Classification: "confidential", Destructive: true},
	} {
		if got, known := s.Tool(name); !known || got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}
