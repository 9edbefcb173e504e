package opa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// near is a member of the input that the document does not have. Where rules
// refer to the bundle's own data, the evaluator walks its tree of rules and
// reads the store; a reference to the input it follows at a fraction of that.
// So once a policy is compiled, data is referred to as input[near], and so is
// what rules say that read no input at all: that is worked out once. All of it
// is the same whatever is asked, so a decision may read it and be kept. No
// source can name it: the schema of the input has no such member.
const near = "\x00near"

var nearTerm = ast.StringTerm(near)

// bringNear rewrites what the compiled rules refer to. Rules that replace parts
// of data or input as they go (with), or look at the input as a whole, would
// tell the difference: then everything stays as it is.
func (p *Policy) bringNear() error {
	if p.access.reads.whole || p.call != nil && p.call.reads.whole {
		return nil
	}
	for _, m := range p.compiler.Modules {
		with := false
		ast.WalkWiths(m, func(*ast.With) bool { with = true; return true })
		if with {
			return nil
		}
	}
	data := p.base.data
	places := make(map[string]*ast.Term) // of what is near, by the ref that it had
	constants := ast.NewObject()
	root := p.compiler.RuleTree.Child(ast.DefaultRootDocument.Value)
	until := time.Now().Add(p.Preparation)
	if err := p.constants(root, ast.Ref{ast.DefaultRootDocument}, until, func(ref ast.Ref, v *ast.Term) {
		key := ast.StringTerm(ref.String())
		places[ref.String()] = key
		if v != nil {
			v.Value.Hash()
			constants.Insert(key, v)
		}
	}); err != nil {
		return err
	}
	kData, kRules := ast.StringTerm("data"), ast.StringTerm("rules")
	constants.Hash()
	nearby := ast.NewObject(ast.Item(kData, ast.NewTerm(data)), ast.Item(kRules, ast.NewTerm(constants)))
	nearby.Hash()
	p.near = ast.NewTerm(nearby)
	for _, m := range p.compiler.Modules {
		ast.WalkTerms(m, func(t *ast.Term) bool {
			ref, ok := t.Value.(ast.Ref)
			if !ok || len(ref) < 2 || !ref[0].Equal(ast.DefaultRootDocument) {
				return false
			}
			name, ok := ref[1].Value.(ast.String)
			if !ok {
				return false
			}
			if root == nil || root.Child(name) == nil {
				t.Value = append(ast.Ref{ast.InputRootDocument, nearTerm, kData}, ref[1:]...)
				return false
			}
			for n := 2; n <= len(ref); n++ {
				if _, ok := ref[n-1].Value.(ast.String); !ok {
					break
				}
				if key := places[ref[:n].String()]; key != nil {
					t.Value = append(ast.Ref{ast.InputRootDocument, nearTerm, kRules, key}, ref[n:]...)
					break
				}
			}
			return false
		})
	}
	return nil
}

// constants works out the rules below a node that read nothing of the input.
func (p *Policy) constants(node *ast.TreeNode, ref ast.Ref, until time.Time, found func(ast.Ref, *ast.Term)) error {
	if node == nil {
		return nil
	}
	if len(node.Values) > 0 {
		if len(node.Children) > 0 || !p.constant(node, ref) {
			return nil
		}
		v, err := p.work(ref, until)
		if err != nil {
			return err
		}
		found(ref, v)
		return nil
	}
	for _, k := range node.Sorted {
		if err := p.constants(node.Children[k], ref.Append(ast.NewTerm(k)), until, found); err != nil {
			return err
		}
	}
	return nil
}

// constant reports whether the rules of a node are worth working out: no
// functions, no reads of the input, and more than a word as the answer.
func (p *Policy) constant(node *ast.TreeNode, ref ast.Ref) bool {
	switch ref.String() {
	case accessPath, callPath, masksPath:
		return false
	}
	for _, rule := range node.Values {
		if len(rule.Head.Args) > 0 {
			return false
		}
	}
	r := readsOf(p.compiler, ref)
	return !r.whole && r.members == 0
}

// work evaluates a reference once; nil means undefined.
func (p *Policy) work(ref ast.Ref, until time.Time) (v *ast.Term, err error) {
	cancel := topdown.NewCancel()
	timer := time.AfterFunc(time.Until(until), cancel.Cancel)
	defer timer.Stop()
	qc := p.compiler.QueryCompiler()
	body, err := qc.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(answer), ast.NewTerm(ref))))
	if err == nil {
		err = topdown.NewQuery(body).WithQueryCompiler(qc).WithCompiler(p.compiler).WithStore(p.store).WithTransaction(p.txn).
			WithCancel(cancel).WithStrictBuiltinErrors(true).WithMetrics(noMetrics).WithTime(epoch).
			Iter(context.Background(), func(r topdown.QueryResult) error {
				v = r[answer]
				return nil
			})
	}
	switch {
	case err != nil && topdown.IsCancel(err):
		return nil, fmt.Errorf("opa: prepare: %s: %w", ref, errPreparation)
	case err != nil:
		return nil, fmt.Errorf("opa: prepare: %s: %w", ref, err)
	}
	return v, nil
}

var errPreparation = errors.New("what reads no input is worked out once, and this takes too long")
