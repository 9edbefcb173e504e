package opa

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// reads says which members of the input the rules behind an entry point can
// read, whatever the input is.
type reads struct {
	whole   bool   // input itself, input[x], or input under another value (with)
	members uint32 // the others, as bits of member
}

func (r *reads) has(m member) bool { return r.members&(1<<m) != 0 }

// readsOf follows every rule that ref can lead to. It errs on the side of more:
// what cannot be told apart counts as read.
func readsOf(c *ast.Compiler, ref ast.Ref) reads {
	var r reads
	seen := make(map[*ast.Rule]bool)
	todo := c.GetRulesDynamicWithOpts(ref, ast.RulesOptions{})
	for len(todo) > 0 {
		rule := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for ; rule != nil; rule = rule.Else {
			if seen[rule] {
				break
			}
			seen[rule] = true
			r.rule(rule)
			for dep := range c.Graph.Dependencies(util.T(rule)) {
				if next, ok := dep.(*ast.Rule); ok && !seen[next] {
					todo = append(todo, next)
				}
			}
		}
	}
	return r
}

// rule notes what one rule reads.
func (r *reads) rule(rule *ast.Rule) {
	ast.WalkWiths(rule, func(w *ast.With) bool {
		if ref, ok := w.Target.Value.(ast.Ref); ok && ref.HasPrefix(ast.InputRootRef) {
			r.whole = true
		}
		return false
	})
	ast.WalkTerms(rule, r.term)
}

// term notes what one term reads, and reports whether all of it was looked at.
func (r *reads) term(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Ref:
		r.ref(v)
		head := 0
		if _, ok := v[0].Value.(ast.Var); ok {
			head = 1 // a ref's own variable is no read of the whole
		}
		for _, part := range v[head:] {
			ast.WalkTerms(part, r.term)
		}
		return true
	case ast.Var:
		if v.Equal(ast.InputRootDocument.Value) {
			r.whole = true
		}
	}
	return false
}

// ref notes what a ref reads by itself.
func (r *reads) ref(ref ast.Ref) {
	if !ref.HasPrefix(ast.InputRootRef) {
		return
	}
	if len(ref) == 1 {
		r.whole = true
		return
	}
	name, ok := ref[1].Value.(ast.String)
	if !ok {
		r.whole = true
		return
	}
	if m, ok := memberOf(string(name)); ok {
		r.members |= 1 << m
	}
}
