package opa

import (
	"errors"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/memo"
)

var errNotFound = errors.New("opa: input: no such member")

// member is a top-level member of the input document.
type member uint8

const (
	mVersion member = iota
	mPrincipal
	mServer
	mTarget
	mTool
	mMethod
	mDirection
	mKind
	mRevision
	mFlow // what the key of a decision has of the labels
	// What is below belongs to one call alone. A decision that read none of it
	// holds for every call that is alike above.
	mAuthentication
	mSource
	mLabels
	mTime
	mBudget
	mArguments
	mParams
	members
)

const volatile = 1<<mAuthentication | 1<<mSource | 1<<mLabels | 1<<mTime | 1<<mBudget | 1<<mArguments | 1<<mParams

var memberNames = [members]string{"version", "principal", "server", "target", "tool", "method", "direction", "kind", "revision", "flow",
	"authentication", "source", "labels", "time", "budget", "arguments", "params"}

// memberOf returns the member called name.
func memberOf(name string) (member, bool) {
	switch name {
	case "version":
		return mVersion, true
	case "principal":
		return mPrincipal, true
	case "server":
		return mServer, true
	case "target":
		return mTarget, true
	case "tool":
		return mTool, true
	case "method":
		return mMethod, true
	case "direction":
		return mDirection, true
	case "kind":
		return mKind, true
	case "revision":
		return mRevision, true
	case "flow":
		return mFlow, true
	case "authentication":
		return mAuthentication, true
	case "source":
		return mSource, true
	case "labels":
		return mLabels, true
	case "time":
		return mTime, true
	case "budget":
		return mBudget, true
	case "arguments":
		return mArguments, true
	case "params":
		return mParams, true
	}
	return 0, false
}

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

func (p *Policy) principal(in *policy.Input) ast.Value {
	of := in.Principal
	var own [512]byte
	key := memo.AppendPrincipal(append(own[:0], 'p'), of)
	if v, _ := p.values.Get(key, 0); v != nil {
		return *v
	}
	var v ast.Value = ast.NewObject(
		entry(kAnonymous, ast.Boolean(of.IsAnonymous())),
		entry(kSubject, ast.String(of.Subject)), entry(kIssuer, ast.String(of.Issuer)), entry(kAgent, ast.String(of.Agent)),
		entry(kClient, ast.String(of.Client)), entry(kTenant, ast.String(of.Tenant)), entry(kTask, ast.String(of.Task)),
		entry(kTaskType, ast.String(of.TaskType)), entry(kPeer, ast.String(of.Peer)),
		entry(kActors, list(of.Actors)), entry(kRoles, list(in.Roles())), entry(kScopes, list(of.Scopes)),
	)
	v.Hash() // what is computed lazily is computed before others see it
	p.values.Put(key, 0, &v)
	return v
}

func (p *Policy) server(of *guard.Server) ast.Value {
	var own [256]byte
	key := memo.AppendServer(append(own[:0], 's'), of)
	if v, _ := p.values.Get(key, 0); v != nil {
		return *v
	}
	var v ast.Value = ast.NewObject(
		entry(kName, ast.String(of.Name)), entry(kOwner, ast.String(of.Owner)), entry(kDomain, ast.String(of.Domain)),
		entry(kClassification, ast.String(of.Classification)),
	)
	v.Hash()
	p.values.Put(key, 0, &v)
	return v
}

func (p *Policy) tool(of *policy.Input) ast.Value {
	t, known := of.Tool()
	var own [128]byte
	key := memo.AppendTool(append(own[:0], 't'), t, known)
	if v, _ := p.values.Get(key, 0); v != nil {
		return *v
	}
	var v ast.Value = ast.NewObject(
		entry(kKnown, ast.Boolean(known)), entry(kClassification, ast.String(t.Classification)), entry(kRisk, ast.String(t.Risk)),
		entry(kSensitive, ast.Boolean(t.Sensitive)), entry(kReadOnly, ast.Boolean(t.ReadOnly)), entry(kDestructive, ast.Boolean(t.Destructive)),
		entry(kIdempotent, ast.Boolean(t.Idempotent)), entry(kExternal, ast.Boolean(t.External)), entry(kFinancial, ast.Boolean(t.Financial)),
	)
	v.Hash()
	p.values.Put(key, 0, &v)
	return v
}

func entry(key *ast.Term, v ast.Value) [2]*ast.Term { return [2]*ast.Term{key, ast.NewTerm(v)} }

func number(n int64) ast.Number { return ast.Number(strconv.FormatInt(n, 10)) }

func list(values []string) *ast.Array {
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = ast.StringTerm(v)
	}
	return ast.NewArray(terms...)
}

// nothing is input.flow of whoever carries nothing, which is nearly everybody.
var nothing = func() ast.Value {
	v := ast.NewObject(entry(kArguments, ast.String("")), entry(kClassification, ast.String("")),
		entry(kLabels, list(nil)), entry(kTask, list(nil)), entry(kCaller, list(nil)))
	v.Hash() // what is computed lazily is computed before others see it
	return v
}()

// Names of members, made once. They are never changed.
var (
	kKind           = ast.StringTerm("kind")
	kName           = ast.StringTerm("name")
	kStrength       = ast.StringTerm("strength")
	kAuthTime       = ast.StringTerm("auth_time")
	kExpires        = ast.StringTerm("expires")
	kTokenID        = ast.StringTerm("token_id")
	kAnonymous      = ast.StringTerm("anonymous")
	kSubject        = ast.StringTerm("subject")
	kIssuer         = ast.StringTerm("issuer")
	kAgent          = ast.StringTerm("agent")
	kClient         = ast.StringTerm("client")
	kTenant         = ast.StringTerm("tenant")
	kTask           = ast.StringTerm("task")
	kTaskType       = ast.StringTerm("task_type")
	kPeer           = ast.StringTerm("peer")
	kActors         = ast.StringTerm("actors")
	kRoles          = ast.StringTerm("roles")
	kScopes         = ast.StringTerm("scopes")
	kOwner          = ast.StringTerm("owner")
	kDomain         = ast.StringTerm("domain")
	kClassification = ast.StringTerm("data_classification")
	kClearance      = ast.StringTerm("clearance")
	kArguments      = ast.StringTerm("arguments")
	kLabels         = ast.StringTerm("labels")
	kCaller         = ast.StringTerm("caller")
	kKnown          = ast.StringTerm("known")
	kRisk           = ast.StringTerm("risk")
	kSensitive      = ast.StringTerm("sensitive")
	kReadOnly       = ast.StringTerm("read_only")
	kDestructive    = ast.StringTerm("destructive")
	kIdempotent     = ast.StringTerm("idempotent")
	kExternal       = ast.StringTerm("external")
	kFinancial      = ast.StringTerm("financial")
)
