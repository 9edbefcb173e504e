package report

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// official is the schema that NIST publishes; see the note beside it.
func official(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("testdata/oscal/assessment-results-" + OSCALVersion + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asOSCAL(t *testing.T, r *Report) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := r.OSCAL(&b); err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryReportIsValidByTheOfficialSchemaOfOSCAL(t *testing.T) {
	dir, keys := kept(t, refusal, answer)
	schema := official(t)
	for _, id := range IDs() {
		for name, o := range map[string]Options{
			"all receipts": {Directories: []string{dir}, Verify: verify.Options{Keys: keys}},
			"no receipt":   {Directories: []string{dir}, Verify: verify.Options{Keys: keys}, Since: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
			"unproved":     {Directories: []string{dir}, Unverified: true},
		} {
			doc := asOSCAL(t, made(t, id, o))
			if err := schema.Validate(doc); err != nil {
				t.Errorf("%s, %s: %v", id, name, err)
			}
			references(t, id, doc)
		}
	}
}

func TestTheExampleInTheDocsIsOSCAL(t *testing.T) {
	text, err := os.ReadFile("../../docs/example/compliance/eu-ai-act.oscal.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := official(t).Validate(doc); err != nil {
		t.Error(err)
	}
	references(t, "the example", doc)
}

// A schema that takes anything would prove nothing.
func TestTheOfficialSchemaRefusesWhatIsNoOSCAL(t *testing.T) {
	dir, keys := kept(t, refusal, answer)
	r, schema := made(t, "cosai", Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}}), official(t)
	result := func(d map[string]any) map[string]any {
		return d["assessment-results"].(map[string]any)["results"].([]any)[0].(map[string]any)
	}
	finding := func(d map[string]any) map[string]any { return result(d)["findings"].([]any)[0].(map[string]any) }
	for name, spoil := range map[string]func(d map[string]any){
		"no import-ap":         func(d map[string]any) { delete(d["assessment-results"].(map[string]any), "import-ap") },
		"no reviewed controls": func(d map[string]any) { delete(result(d), "reviewed-controls") },
		"a member of our own":  func(d map[string]any) { result(d)["sallyport"] = "x" },
		"a uuid of version 1":  func(d map[string]any) { finding(d)["uuid"] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
		"a state of our own": func(d map[string]any) {
			finding(d)["target"].(map[string]any)["status"].(map[string]any)["state"] = "ok"
		},
		"a control with a space": func(d map[string]any) { finding(d)["target"].(map[string]any)["target-id"] = "Art. 9" },
		"no namespace but text":  func(d map[string]any) { finding(d)["props"].([]any)[0].(map[string]any)["ns"] = "sallyport" },
		"a local time":           func(d map[string]any) { result(d)["start"] = "2026-11-02T09:00:00" },
	} {
		doc := asOSCAL(t, r)
		spoil(doc)
		if schema.Validate(doc) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// What is found is about the gateway's part, which the document itself defines;
// nowhere does a state stand beside a control.
func TestFindingsAreAboutTheGatewaysPart(t *testing.T) {
	dir, keys := kept(t, refusal, answer, answer)
	r := made(t, "owasp-mcp", Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}})
	var b bytes.Buffer
	if err := r.OSCAL(&b); err != nil {
		t.Fatal(err)
	}
	var doc oscal
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, o := range doc.Results.Local.Objectives {
		for _, p := range o.Parts {
			defined[p.ID] = true
		}
	}
	for i, f := range doc.Results.Results[0].Findings {
		c := &r.Results[i]
		if !defined[f.Target.ID] || !strings.HasSuffix(f.Target.ID, "_gateway-part") || !strings.HasPrefix(f.Title, "The gateway's part of ") {
			t.Errorf("%s: its target is %s", f.Title, f.Target.ID)
		}
		if (f.Target.Status.State == "satisfied") != (c.Status == Evidenced) {
			t.Errorf("%s is %s, and %s in OSCAL", c.ID, c.Status, f.Target.Status.State)
		}
		if len(f.Props) != 1+len(c.Gaps) || len(f.Related) != len(c.Parts) {
			t.Errorf("%s: gaps or observations are missing: %+v", c.ID, f)
		}
	}
	proofs(t, &doc, keys)
}

// proofs checks those that the document has inside.
func proofs(t *testing.T, doc *oscal, keys chain.Keys) {
	t.Helper()
	n := 0
	for _, res := range doc.Results.BackMatter.Resources {
		if res.Base64 == nil {
			continue
		}
		n++
		p, err := verify.ParseProof(res.Base64.Value)
		if err == nil {
			err = p.Check(keys)
		}
		if err != nil {
			t.Errorf("%s: %v: %s", res.Title, err, base64.StdEncoding.EncodeToString(res.Base64.Value))
		}
	}
	if n != 2 {
		t.Errorf("%d proofs", n)
	}
}

// references checks what a schema cannot: that every reference leads somewhere, and
// that no id stands for two things.
func references(t *testing.T, id string, doc any) {
	t.Helper()
	ids, wanted := map[string]int{}, map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, one := range v {
				s, _ := one.(string)
				switch {
				case k == "uuid" || k == "id":
					ids[s]++
				case strings.HasSuffix(k, "-uuid") || k == "target-id":
					wanted[s] = true
				case k == "href" && strings.HasPrefix(s, "#"):
					wanted[s[1:]] = true
				}
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(doc)
	for s, n := range ids {
		if n > 1 {
			t.Errorf("%s: %s stands for %d things", id, s, n)
		}
	}
	for s := range wanted {
		if ids[s] == 0 {
			t.Errorf("%s: %s leads nowhere", id, s)
		}
	}
}
