package opa

import (
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/memo"
)

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
