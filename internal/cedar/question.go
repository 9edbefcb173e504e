package cedar

import (
	"iter"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/mcp"
)

const toClient = mcp.ToClient

// policyList shows the evaluator the policies of a list, or their scopes.
type policyList struct {
	rules
	scopes bool
}

// All implements cedar.PolicyIterator.
func (l policyList) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range l.rules {
			p := r.policy
			if l.scopes {
				if p = r.scope; p == nil {
					continue
				}
			}
			if !yield(r.id, p) {
				return
			}
		}
	}
}

// question is one request with the entities that it is about.
type question struct {
	request   cedar.Request
	server    types.EntityUID
	principal types.Entity
	about     [3]types.Entity // action, resource, server
	more      types.EntityMap // of the bundle
}

// Get implements types.EntityGetter.
func (q *question) Get(uid types.EntityUID) (types.Entity, bool) {
	if uid == q.principal.UID {
		return q.principal, true
	}
	for i := range q.about {
		if uid == q.about[i].UID {
			return q.about[i], true
		}
	}
	if uid.Type == "Action" { // of the probe for the server
		return types.Entity{UID: uid, Parents: groups(string(uid.ID))}, true
	}
	e, ok := q.more[uid]
	return e, ok
}

func (p *Policy) question(s policy.Step, in *policy.Input, now time.Time) *question {
	q := &question{more: p.entities, principal: p.principal(in)}
	srv := in.Server
	q.server = types.NewEntityUID("Server", types.String(srv.Name))
	q.about[0] = types.Entity{UID: action(in.Method), Parents: groups(in.Method)}
	q.about[2] = types.Entity{UID: q.server, Attributes: types.NewRecord(types.RecordMap{
		"name": types.String(srv.Name), "owner": types.String(srv.Owner), "domain": types.String(srv.Domain),
		"data_classification": types.String(srv.Classification), "clearance": clearance(srv.Classification),
		"data_clearance": types.String(srv.Clearance),
	})}
	resource := q.server
	if kind := kinds[in.Target.Kind]; kind != "" {
		resource = types.NewEntityUID(kind, types.String(srv.Name+"/"+in.Target.Name))
		class := in.Classification()
		attributes := types.RecordMap{
			"name": types.String(in.Target.Name), "server": q.server, "data_classification": types.String(class), "clearance": clearance(class),
			"data_clearance": types.String(in.Clearance()),
		}
		if in.Target.Kind == policy.Tool {
			t, known := in.Tool()
			attributes["known"], attributes["risk"] = types.Boolean(known), types.String(t.Risk)
			attributes["sensitive"], attributes["read_only"] = types.Boolean(t.Sensitive), types.Boolean(t.ReadOnly)
			attributes["destructive"], attributes["idempotent"] = types.Boolean(t.Destructive), types.Boolean(t.Idempotent)
			attributes["external"], attributes["financial"] = types.Boolean(t.External), types.Boolean(t.Financial)
		}
		q.about[1] = types.Entity{UID: resource, Parents: types.NewEntityUIDSet(q.server), Attributes: types.NewRecord(attributes)}
	}
	q.request = cedar.Request{Principal: q.principal.UID, Action: q.about[0].UID, Resource: resource, Context: p.context(s, in, now)}
	return q
}

var kinds = map[policy.TargetKind]types.EntityType{policy.Tool: "Tool", policy.Prompt: "Prompt", policy.Resource: "Resource", policy.Template: "Template", policy.Task: "Task"}

// clearance is what a caller needs for data of a classification.
func clearance(class string) types.EntityUID {
	if class == "" {
		class = "unclassified"
	}
	return types.NewEntityUID("Clearance", types.String(class))
}

func (p *Policy) principal(in *policy.Input) types.Entity {
	of := in.Principal
	var own [512]byte
	key := memo.AppendPrincipal(own[:0], of)
	if e, _ := p.principals.Get(key, 0); e != nil {
		return *e
	}
	parents := make([]types.EntityUID, 0, len(of.Roles)+1)
	for _, r := range in.Roles() {
		parents = append(parents, types.NewEntityUID("Role", types.String(r)))
	}
	if of.Tenant != "" {
		parents = append(parents, types.NewEntityUID("Tenant", types.String(of.Tenant)))
	}
	e := types.Entity{
		UID:     types.NewEntityUID("Principal", types.String(of.Issuer+"|"+of.Subject+"|"+of.Client)),
		Parents: types.NewEntityUIDSet(parents...),
		Attributes: types.NewRecord(types.RecordMap{
			"anonymous": types.Boolean(of.IsAnonymous()), "subject": types.String(of.Subject), "issuer": types.String(of.Issuer), "agent": types.String(of.Agent),
			"actors": texts(of.Actors), "client": types.String(of.Client), "tenant": types.String(of.Tenant), "roles": texts(in.Roles()), "scopes": texts(of.Scopes),
			"task": types.String(of.Task), "task_type": types.String(of.TaskType), "peer": types.String(of.Peer),
		}),
	}
	p.principals.Put(key, 0, &e)
	return e
}

// context is the rest of the input. What belongs to one call alone is in it and
// nowhere else.
func (p *Policy) context(s policy.Step, in *policy.Input, now time.Time) types.Record {
	t := in.Time
	if t.IsZero() {
		t = now
	}
	pr, f := in.Principal, in.Flow()
	c := types.RecordMap{
		"version": types.Long(policy.InputVersion), "method": types.String(in.Method), "direction": types.String(in.Direction.String()),
		"kind": types.String(in.Kind.String()), "revision": types.String(in.Revision.String()),
		"authentication": types.NewRecord(types.RecordMap{
			"strength": types.String(pr.Strength), "auth_time": types.Long(policy.Moment(pr.AuthTime)),
			"expires": types.Long(policy.Moment(pr.Expires)), "token_id": types.String(pr.TokenID),
		}),
		"labels": texts(in.Labels), "time": types.Long(policy.Moment(t)),
		"flow": types.NewRecord(types.RecordMap{
			"labels": texts(f.Labels()), "task": texts(f.Task), "caller": texts(f.Caller),
			"data_classification": types.String(f.Classification()), "arguments": types.String(f.Arguments),
		}),
	}
	if in.Source.IsValid() {
		if ip, err := types.ParseIPAddr(in.Source.String()); err == nil {
			c["source"] = ip
		}
	}
	if s == policy.Call {
		if args := in.Arguments(); args != nil {
			c["arguments"] = value(args)
		}
		if in.Params != nil {
			c["params"] = value(in.Params)
		}
	}
	return types.NewRecord(c)
}

func action(method string) types.EntityUID {
	return types.NewEntityUID("Action", types.String(method))
}

func texts(list []string) types.Set {
	out := make([]types.Value, len(list))
	for i, s := range list {
		out[i] = types.String(s)
	}
	return types.NewSet(out...)
}

var (
	inUse     = types.NewEntityUIDSet(action("use"))
	inSession = types.NewEntityUIDSet(action("session"))
	inAsk     = types.NewEntityUIDSet(action("ask"))
	inNotify  = types.NewEntityUIDSet(action("notify"))
)

// groups are the groups of actions that a method is in: use of a target, what
// keeps a session going, what a server asks of its client, and notifications.
func groups(method string) types.EntityUIDSet {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "resources/subscribe", "resources/unsubscribe", "completion/complete":
		return inUse
	case "sampling/createMessage", "elicitation/create", "roots/list":
		return inAsk
	}
	if strings.HasPrefix(method, "notifications/") {
		return inNotify
	}
	if _, ok := mcp.LookupMethod(method); ok || method == "response" || strings.HasPrefix(method, "transport/") {
		return inSession
	}
	return types.EntityUIDSet{}
}
