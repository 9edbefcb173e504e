package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/inspect/lines"
)

// Every detector answers the development data as its README says, with what the
// command gives it: no configuration, and for destinations a policy file.
func TestEveryDetectorAnswersWithoutAConfiguration(t *testing.T) {
	const data = "../../eval/testdata"
	for name, c := range map[string]struct{ file, policy, answer string }{
		"pii":       {"pii/pii_dev.jsonl", "", "findings"},
		"secrets":   {"secrets/secrets_dev.jsonl", "", "findings"},
		"injection": {"injection/injection_dev.jsonl", "", "injection"},
		"url":       {"ssrf/ssrf_dev.jsonl", "ssrf/policy.json", "verdict"},
		"sanitize":  {"injection/sanitize_dev.jsonl", "ssrf/policy.json", "text"},
		"toolset":   {"injection/toolset_dev.jsonl", "", "verdict"},
	} {
		policies := []string{c.policy}
		if name == "sanitize" {
			policies = append(policies, "")
		}
		for _, policy := range policies {
			if policy != "" {
				policy = filepath.Join(data, policy)
			}
			d, err := app.Detector(name, "", policy)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			text, err := os.ReadFile(filepath.Join(data, c.file))
			if err != nil {
				t.Fatal(err)
			}
			some := bytes.Join(bytes.SplitN(text, []byte("\n"), 21)[:15], []byte("\n"))
			var out bytes.Buffer
			if err := lines.Answer(bytes.NewReader(some), &out, d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			records, answers := bufio.NewScanner(bytes.NewReader(some)), strings.Split(strings.TrimSpace(out.String()), "\n")
			records.Buffer(nil, 1<<20)
			for i := 0; records.Scan(); i++ {
				var want struct{ ID string }
				var got map[string]json.RawMessage
				if json.Unmarshal(records.Bytes(), &want) != nil || json.Unmarshal([]byte(answers[i]), &got) != nil {
					t.Fatalf("%s: %s", name, answers[i])
				}
				if string(got["id"]) != `"`+want.ID+`"` || got[c.answer] == nil {
					t.Errorf("%s: %s", name, answers[i])
				}
			}
		}
	}
}
