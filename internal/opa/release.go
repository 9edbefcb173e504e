package opa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Report is the outcome of a bundle's tests.
type Report struct {
	Passed   int       `json:"passed"`
	Failed   []Failure `json:"failed"`
	Coverage float64   `json:"coverage"` // of the rules' lines, in percent
	Missed   []string  `json:"missed"`   // lines that no test reached
}

// Failure is one test that did not pass.
type Failure struct {
	Test string `json:"test"`
	At   string `json:"at"`
	Why  string `json:"why"`
}

// testTime bounds one test.
const testTime = 10 * time.Second

// Test compiles a bundle strictly, checks its formatting, and runs its tests
// under the gateway's own capabilities.
func Test(ctx context.Context, b *Bundle) (*Report, error) {
	r := &Report{Failed: []Failure{}, Missed: []string{}}
	if _, err := New(b, Settings{Places: 1}); err != nil {
		return nil, err
	}
	modules := make(map[string]*ast.Module)
	for _, m := range b.Modules {
		modules[m.Path] = m.Parsed
		formatted, err := format.SourceWithOpts(m.Path, m.Raw, format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			return nil, fmt.Errorf("opa: format %s: %w", m.Path, err)
		}
		if !bytes.Equal(formatted, m.Raw) {
			r.Failed = append(r.Failed, Failure{"opa fmt", m.Path, "is not formatted as `opa fmt` does"})
		}
	}
	store := inmem.NewFromObject(b.Data)
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("opa: test: %w", err)
	}
	defer store.Abort(ctx, txn)
	coverage := cover.New()
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities()).WithDefaultRegoVersion(ast.RegoV1).WithEnablePrintStatements(true)
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(modules).RaiseBuiltinErrors(true).
		SetCoverageQueryTracer(coverage).SetTimeout(testTime).CapturePrintOutput(true).RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("opa: test: %w", err)
	}
	for t := range results {
		if t.Pass() {
			r.Passed++
			continue
		}
		why := "is not true"
		if t.Error != nil {
			why = t.Error.Error()
		}
		if len(t.Output) > 0 {
			why += ": " + strings.TrimSpace(string(t.Output))
		}
		r.Failed = append(r.Failed, Failure{t.Package + "." + t.Name, t.Location.String(), why})
	}
	rules := make(map[string]*ast.Module)
	for path, m := range modules {
		if !isTest(path) {
			rules[path] = m
		}
	}
	covered := coverage.Report(rules)
	r.Coverage = covered.Coverage
	for path, f := range covered.Files {
		for _, span := range f.NotCovered {
			r.Missed = append(r.Missed, fmt.Sprintf("%s:%d", path, span.Start.Row))
		}
	}
	slices.Sort(r.Missed)
	return r, nil
}

// semver is a semantic version (semver.org, 2.0.0) without build metadata,
// which is the digest's place.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// Build writes a bundle as an archive: rules and data without the tests, under
// a semantic version. A version of "" keeps the manifest's.
func Build(w io.Writer, b *Bundle, version string) error {
	out := withoutTests(b)
	if version != "" {
		out.Manifest.Revision = version
	}
	if !semver.MatchString(out.Manifest.Revision) {
		return fmt.Errorf("opa: build: revision %q is no semantic version such as 1.4.0", out.Manifest.Revision)
	}
	out.Signatures = bundle.SignaturesConfig{}
	if _, err := New(&Bundle{Bundle: out, digest: b.digest}, Settings{Places: 1}); err != nil {
		return err
	}
	if err := writeBundle(w, out); err != nil {
		return fmt.Errorf("opa: build: %w", err)
	}
	return nil
}

// withoutTests returns a copy of b. (Bundle.Copy shares the list of modules.)
func withoutTests(b *Bundle) bundle.Bundle {
	out := b.Bundle
	out.Modules = nil
	for _, m := range b.Modules {
		if !isTest(m.Path) {
			out.Modules = append(out.Modules, m)
		}
	}
	return out
}

func writeBundle(w io.Writer, b bundle.Bundle) error {
	return bundle.NewWriter(w).UseModulePath(true).DisableFormat(true).Write(b)
}

// Sign writes an archive of b that is signed with a PEM private key.
func Sign(w io.Writer, b *Bundle, privatePEM, algorithm, keyID string) error {
	if keyID == "" {
		return errors.New("opa: sign: the signature needs a key id, by which gateways find the public key")
	}
	out := withoutTests(b)
	out.Signatures = bundle.SignaturesConfig{}
	if err := out.GenerateSignature(bundle.NewSigningConfig(privatePEM, algorithm, ""), keyID, true); err != nil {
		return fmt.Errorf("opa: sign: %w", err)
	}
	if err := writeBundle(w, out); err != nil {
		return fmt.Errorf("opa: sign: %w", err)
	}
	return nil
}
