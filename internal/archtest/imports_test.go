// Package archtest holds the house rules that a compiler does not check.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport/"

// rules say what the non-test files below a folder may import beside the
// standard library.
var rules = []struct {
	folder  string
	allowed []string // import path prefixes
	banned  []string // of the standard library
}{
	{"mcp", []string{module + "mcp"}, []string{"net/http/", "os", "log"}},
	{"segment", []string{module + "mcp"}, []string{"net/http/", "os", "net", "log"}},
	{"guard", []string{module + "mcp", module + "guard", module + "segment", module + "internal/inspect", module + "internal/config/notation", module + "internal/recent"}, []string{"net/http/", "os"}},
	{"internal/inspect", []string{module + "mcp", module + "internal/inspect", "golang.org/x/text", "golang.org/x/net/idna", "go.yaml.in/yaml", "github.com/microcosm-cc/bluemonday"}, []string{"net/http/", "os", "net", "log"}},
	{"internal/recent", nil, []string{"net/http/", "os", "net", "log"}},
	{"internal/registry", []string{module + "mcp", module + "guard"}, nil},
	{"internal/outbound", []string{module + "mcp", module + "guard", module + "internal/inspect/destination"}, []string{"net/http/", "os", "net", "log"}},
	{"internal/gate", []string{module + "mcp", module + "guard", module + "internal/registry", module + "internal/outbound"}, nil},
	{"internal/audit", []string{module + "mcp", module + "guard", module + "internal/audit", module + "internal/config/notation"}, nil},
	{"internal/sink/file", sinks(), nil},
	{"internal/sink/web", sinks("internal/remote"), nil},
	{"internal/sink/webhook", sinks("internal/remote", "internal/sink/web"), nil},
	{"internal/sink/elastic", sinks("internal/remote", "internal/sink/web"), nil},
	{"internal/sink/splunk", sinks("internal/remote", "internal/sink/web"), nil},
	{"internal/sink/syslog", append(sinks(), "golang.org/x/sys/unix"), nil},
	{"internal/sink/kafka", append(sinks(), "github.com/twmb/franz-go/pkg"), nil},
	{"internal/sink/otlp", append(sinks("internal/remote", "internal/sink/web", "mcp"), "go.opentelemetry.io/proto/otlp", "google.golang.org/grpc", "google.golang.org/protobuf"), nil},
}

// sinks are what each sink may import: what it delivers, and so much of this module.
func sinks(own ...string) []string {
	out := []string{module + "internal/audit/deliver"}
	for _, p := range own {
		out = append(out, module+p)
	}
	return out
}

func TestTheCoreKnowsNoEnvoyRedisOrOPA(t *testing.T) {
	for _, r := range rules {
		imports(t, filepath.Join("../..", r.folder), func(file, path string) {
			if !strings.Contains(strings.SplitN(path, "/", 2)[0], ".") { // the standard library
				for _, b := range r.banned {
					if path == b {
						t.Errorf("%s imports %s", file, path)
					}
				}
				return
			}
			for _, a := range r.allowed {
				if path == strings.TrimSuffix(a, "/") || strings.HasPrefix(path, a+"/") {
					return
				}
			}
			t.Errorf("%s imports %s", file, path)
		})
	}
}

func TestGuardsDoNotKnowEachOther(t *testing.T) {
	imports(t, "../../guard", func(file, path string) {
		rel, _ := filepath.Rel("../../guard", file)
		own := strings.SplitN(filepath.ToSlash(rel), "/", 2)[0]
		other, ok := strings.CutPrefix(path, module+"guard/")
		if ok && own != "standard" && strings.SplitN(other, "/", 2)[0] != own {
			t.Errorf("%s imports %s; guards meet through obligations and labels", file, path)
		}
	})
}

func TestOnlyCommandsImportTheCompositionRoot(t *testing.T) {
	imports(t, "../..", func(file, path string) {
		if path == module+"internal/app" && !strings.HasPrefix(filepath.ToSlash(file), "../../cmd/") && !strings.HasPrefix(filepath.ToSlash(file), "../../bench/cmd/") {
			t.Errorf("%s imports internal/app", file)
		}
	})
}

func imports(t *testing.T, root string, visit func(file, path string)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			visit(path, p)
		}
		seen++
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%s: %d files, %v", root, seen, err)
	}
}
