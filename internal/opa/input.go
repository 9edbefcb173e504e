package opa

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/guard/policy"
)

var errNotFound = errors.New("opa: input: no such member")

// input is the input document, made as it is read. It notes which members an
// evaluation reads: a decision is a function of those alone, so it holds
// wherever they are equal, whatever the rest says.
//
// Only refs of the form input.<member> ever reach it: reads.go has seen to it
// that the policy has no others, or else full is used instead.
type input struct {
	ast.Object // an empty one, for what only a policy that reads the whole would call
	in         *policy.Input
	own        *Policy
	terms      [members]*ast.Term
	read       uint32
	err        error
}

// Get returns a member, and notes that it was read, also when it is not there.
func (o *input) Get(key *ast.Term) *ast.Term {
	name, ok := key.Value.(ast.String)
	if !ok {
		return nil
	}
	if name == near {
		return o.own.near
	}
	m, ok := memberOf(string(name))
	if !ok {
		return nil
	}
	return o.term(m)
}

// Find is Get for a path.
func (o *input) Find(path ast.Ref) (ast.Value, error) {
	if len(path) == 0 {
		return o, nil
	}
	t := o.Get(path[0])
	if t == nil {
		return nil, errNotFound
	}
	return t.Value.Find(path[1:])
}

// IsGround tells the evaluator that no variable is inside.
func (o *input) IsGround() bool { return true }

func (o *input) term(m member) *ast.Term {
	o.read |= 1 << m
	if o.terms[m] == nil && o.err == nil {
		v, err := o.make(m)
		if err != nil {
			o.err = err
		}
		if v != nil {
			o.terms[m] = ast.NewTerm(v)
		}
	}
	return o.terms[m]
}

func (o *input) make(m member) (ast.Value, error) {
	in := o.in
	switch m {
	case mVersion:
		return number(policy.InputVersion), nil
	case mPrincipal:
		return o.own.principal(in), nil
	case mServer:
		return o.own.server(in.Server), nil
	case mTarget:
		return ast.NewObject(entry(kKind, ast.String(in.Target.Kind)), entry(kName, ast.String(in.Target.Name)),
			entry(kClassification, ast.String(in.Classification())), entry(kClearance, ast.String(in.Clearance()))), nil
	case mTool:
		return o.own.tool(in), nil
	case mMethod:
		return ast.String(in.Method), nil
	case mDirection:
		return ast.String(in.Direction.String()), nil
	case mKind:
		return ast.String(in.Kind.String()), nil
	case mRevision:
		return ast.String(in.Revision.String()), nil
	case mFlow:
		f := in.Flow()
		if len(f.Task)+len(f.Caller)+len(f.Arguments) == 0 {
			return nothing, nil
		}
		return ast.NewObject(entry(kArguments, ast.String(f.Arguments)), entry(kClassification, ast.String(f.Classification())),
			entry(kLabels, list(f.Labels())), entry(kTask, list(f.Task)), entry(kCaller, list(f.Caller))), nil
	case mAuthentication:
		p := in.Principal
		return ast.NewObject(entry(kStrength, ast.String(p.Strength)), entry(kAuthTime, number(policy.Moment(p.AuthTime))),
			entry(kExpires, number(policy.Moment(p.Expires))), entry(kTokenID, ast.String(p.TokenID))), nil
	case mSource:
		if !in.Source.IsValid() {
			return ast.String(""), nil
		}
		return ast.String(in.Source.String()), nil
	case mLabels:
		return list(in.Labels), nil
	case mTime:
		t := in.Time
		if t.IsZero() {
			t = o.own.now()
		}
		return number(policy.Moment(t)), nil
	case mBudget:
		if left := in.Remaining(); left != nil {
			return value(left)
		}
	case mArguments:
		if args := in.Arguments(); args != nil {
			return value(args)
		}
	case mParams:
		if in.Params != nil {
			return value(in.Params)
		}
	}
	return nil, nil
}

// full is the whole document, for policies that read it as a whole.
func (o *input) full() (ast.Value, error) {
	var all [][2]*ast.Term
	for m := range members {
		if t := o.term(m); t != nil {
			all = append(all, ast.Item(ast.StringTerm(memberNames[m]), t))
		}
	}
	return ast.NewObject(all...), o.err
}
