package guard_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The chain and its guards have no goroutine, timer, clock, environment or
// changing global of their own, so that they can move to another host.

// impure names what of the standard library would tie a guard to a process.
var impure = map[string][]string{
	"time":    {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"},
	"context": {"WithTimeout", "WithDeadline", "WithCancel", "AfterFunc"}, // they start timers and goroutines
}

var bannedImports = []string{"os", "os/signal", "os/exec", "net", "net/http", "log", "log/slog", "syscall", "unsafe", "runtime", "math/rand", "plugin"}

func TestGuardsLeaveClockGoroutinesAndEnvironmentToTheirHost(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	packages := make(map[string][]*ast.File)
	set := token.NewFileSet()
	for _, name := range append(files, below...) {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(filepath.ToSlash(name), "guardtest/") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		packages[filepath.Dir(name)] = append(packages[filepath.Dir(name)], f)
	}
	if len(packages) < 3 {
		t.Fatalf("only %d packages found", len(packages))
	}
	for _, fs := range packages {
		globals := packageVars(fs)
		for _, f := range fs {
			for _, p := range impurities(f, globals) {
				t.Errorf("%s: %s", set.Position(p.at), p.what)
			}
		}
	}
}

func TestThePurityCheckFindsWhatItIsFor(t *testing.T) {
	const src = `package p
import ("context"; "os"; clock "time")
var table = map[string]int{"a": 1}
var n int
func init() {}
func f(ctx context.Context) {
	go f(ctx)
	_ = clock.Now()
	_, _ = context.WithTimeout(ctx, 0)
	_ = os.Args
	n++
	n = 2
	table["b"] = 2
	delete(table, "a")
	p := &n
	_ = p
	local := 1
	local = 2
	select {}
}`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range impurities(f, packageVars([]*ast.File{f})) {
		found = append(found, p.what)
	}
	want := "imports os; has an init; starts a goroutine; uses time.Now; uses context.WithTimeout; " +
		"changes the global n; changes the global n; changes the global table; changes the global table; takes the address of the global n; selects"
	if got := strings.Join(found, "; "); got != want {
		t.Errorf("found %s", got)
	}
}

type impurity struct {
	at   token.Pos
	what string
}

func packageVars(files []*ast.File) map[string]bool {
	vars := make(map[string]bool)
	for _, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, s := range g.Specs {
					for _, n := range s.(*ast.ValueSpec).Names {
						vars[n.Name] = true
					}
				}
			}
		}
	}
	return vars
}

func impurities(f *ast.File, globals map[string]bool) []impurity {
	var out []impurity
	bad := func(at token.Pos, what string) { out = append(out, impurity{at, what}) }
	names := make(map[string]string) // of packages in this file
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = path
		for _, b := range bannedImports {
			if path == b {
				bad(i.Pos(), "imports "+path)
			}
		}
	}
	global := func(e ast.Expr) (string, bool) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.Ident:
				return x.Name, globals[x.Name] && (x.Obj == nil || x.Obj.Kind == ast.Var && isTopLevel(f, x.Obj))
			default:
				return "", false
			}
		}
	}
	changes := func(e ast.Expr) {
		if name, ok := global(e); ok {
			bad(e.Pos(), "changes the global "+name)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				bad(n.Pos(), "has an init")
			}
		case *ast.GoStmt:
			bad(n.Pos(), "starts a goroutine")
		case *ast.SelectStmt:
			bad(n.Pos(), "selects")
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Obj == nil {
				for _, banned := range impure[names[id.Name]] {
					if n.Sel.Name == banned {
						bad(n.Pos(), "uses "+names[id.Name]+"."+banned)
					}
				}
			}
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					changes(e)
				}
			}
		case *ast.IncDecStmt:
			changes(n.X)
		case *ast.UnaryExpr:
			if name, ok := global(n.X); ok && n.Op == token.AND {
				bad(n.Pos(), "takes the address of the global "+name)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
				changes(n.Args[0])
			}
		}
		return true
	})
	return out
}

// isTopLevel tells a package variable from a local one of the same name.
func isTopLevel(f *ast.File, o *ast.Object) bool { //nolint:staticcheck // knows less than go/types, and needs no imports resolved
	return f.Scope != nil && f.Scope.Lookup(o.Name) == o
}
