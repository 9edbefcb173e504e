package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryFrameworkLoads(t *testing.T) {
	ids := IDs()
	if strings.Join(ids, " ") != "cosai eu-ai-act iso-23894 iso-27001 iso-42001 nist-ai-rmf owasp-mcp" {
		t.Errorf("%v", ids)
	}
	page, err := os.ReadFile("../../docs/compliance.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, id := range ids {
		f, err := Load(id)
		if err != nil {
			t.Error(err)
			continue
		}
		if f.ID != id {
			t.Errorf("%s calls itself %s", id, f.ID)
		}
		if !strings.Contains(string(page), "| "+f.Checked+" |") {
			t.Errorf("docs/compliance.md does not say of %s: %s", id, f.Checked)
		}
		for _, c := range f.Controls {
			for _, e := range c.Evidence {
				used[e.Topic] = true
			}
		}
	}
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	for topic := range topics {
		if !used[topic] {
			t.Errorf("no control names %s", topic)
		}
	}
	if _, err := Load("../evidence"); err == nil || !strings.Contains(err.Error(), "there is no framework") {
		t.Error(err)
	}
}

// A test or page that a report names and that is not there would be a claim
// without evidence.
func TestEveryTestAndPageThatIsNamedExists(t *testing.T) {
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]map[string]bool{}
	for topic, e := range topics {
		for _, name := range e.Tests {
			at := strings.LastIndexByte(name, '.')
			folder, test := name[:at], name[at+1:]
			if have[folder] == nil {
				have[folder] = testsIn(t, filepath.Join("../..", folder))
			}
			if !have[folder][test] {
				t.Errorf("%s: there is no %s", topic, name)
			}
		}
		for _, page := range e.Docs {
			if _, err := os.Stat(filepath.Join("../..", page)); err != nil {
				t.Errorf("%s: %v", topic, err)
			}
		}
	}
}

func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				out[fn.Name.Name] = true
			}
		}
	}
	return out
}
