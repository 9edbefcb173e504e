package opa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/policies"
)

// Entry points of the contract.
const (
	accessPath = "data.sallyport.access"
	callPath   = "data.sallyport.call"
	masksPath  = "data.sallyport.masks"
)

// New compiles a bundle. It refuses what could not decide: rules that do not
// compile strictly, no access, or an access that wants to see arguments.
func New(b *Bundle, s Settings) (*Policy, error) {
	p, err := compiled(b, s)
	if err != nil {
		return nil, err
	}
	if err := p.bringNear(); err != nil {
		return nil, err
	}
	return p, nil
}

// compiled is New without what only makes it faster.
func compiled(b *Bundle, s Settings) (*Policy, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Places <= 0 {
		s.Places = defaultPlaces
	}
	if s.Deadline <= 0 {
		s.Deadline = defaultDeadline
	}
	if s.Preparation <= 0 {
		s.Preparation = defaultPreparation
	}
	c, err := compile(&b.Bundle)
	if err != nil {
		return nil, err
	}
	p := &Policy{
		Settings: s, revision: b.Revision(), compiler: c,
		store:  inmem.NewFromObjectWithOpts(b.Data, inmem.OptReturnASTValuesOnRead(true), inmem.OptRoundTripOnWrite(false)),
		memo:   memo.NewDecisions(s.Places, s.CacheTTL, s.Counts),
		values: memo.NewTable[ast.Value](4096),
	}
	if p.txn, err = p.store.NewTransaction(context.Background()); err != nil {
		return nil, fmt.Errorf("opa: open: %w", err)
	}
	if p.base.data, err = p.all(); err != nil {
		return nil, err
	}
	if p.access, err = p.prepare(accessPath); err != nil {
		return nil, err
	}
	if p.call, err = p.prepare(callPath); err != nil {
		return nil, err
	}
	switch {
	case p.access == nil:
		return nil, errors.New("opa: compile: the bundle has no rule " + accessPath)
	case p.access.reads.has(mArguments) || p.access.reads.has(mParams):
		return nil, errors.New("opa: compile: rules behind " + accessPath + " read input.arguments or input.params, which lists cannot have; move them behind " + callPath)
	}
	masks, err := p.prepare(masksPath)
	if err != nil {
		return nil, err
	}
	if masks != nil {
		if err := p.readMasks(masks); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// all returns the bundle's data, as the store has it.
func (p *Policy) all() (ast.Object, error) {
	v, err := p.store.Read(context.Background(), p.txn, storage.RootPath)
	if err != nil {
		return nil, fmt.Errorf("opa: read data: %w", err)
	}
	data, ok := v.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("opa: read data: the store gives a %T", v)
	}
	data.Hash() // what is computed lazily is computed before others see it
	return data, nil
}

// prepare compiles the query for one entry point; it returns nil where the
// bundle has no rules for it.
func (p *Policy) prepare(path string) (*step, error) {
	ref := ast.MustParseRef(path)
	if len(p.compiler.GetRulesExact(ref)) == 0 {
		return nil, nil
	}
	qc := p.compiler.QueryCompiler()
	body, err := qc.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(answer), ast.NewTerm(ref))))
	if err != nil {
		return nil, fmt.Errorf("opa: compile: %s: %w", path, err)
	}
	return &step{query: body, qc: qc, reads: readsOf(p.compiler, ref)}, nil
}

// readMasks evaluates what the policy says of itself.
func (p *Policy) readMasks(st *step) error {
	if st.reads.whole || st.reads.members != 0 {
		return errors.New("opa: compile: " + masksPath + " reads the input; it is about the policy as a whole")
	}
	cancel := topdown.NewCancel()
	timer := time.AfterFunc(time.Second, cancel.Cancel)
	defer timer.Stop()
	err := topdown.NewQuery(st.query).WithQueryCompiler(st.qc).WithCompiler(p.compiler).WithStore(p.store).WithTransaction(p.txn).
		WithCancel(cancel).WithStrictBuiltinErrors(true).
		Iter(context.Background(), func(r topdown.QueryResult) (err error) {
			p.masks, err = boolean(r[answer].Value)
			return err
		})
	if err != nil {
		return fmt.Errorf("opa: compile: %s: %w", masksPath, err)
	}
	return nil
}

// compile compiles the rules of b strictly, and checks what they read of the
// input against its schema.
func compile(b *bundle.Bundle) (*ast.Compiler, error) {
	schema, err := policies.InputSchema()
	if err != nil {
		return nil, err
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, schema)
	c := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities()).WithDefaultRegoVersion(ast.RegoV1).
		WithSchemas(schemas).SetErrorLimit(20)
	modules := make(map[string]*ast.Module, len(b.Modules))
	for _, m := range b.Modules {
		if !isTest(m.Path) {
			modules[m.Path] = m.Parsed.Copy()
		}
	}
	if c.Compile(modules); c.Failed() {
		return nil, fmt.Errorf("opa: compile: %w", c.Errors)
	}
	return c, nil
}
