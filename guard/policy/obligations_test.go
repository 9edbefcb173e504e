package policy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

func bound(f float64) *float64 { return &f }

func obliged(o policy.Obligations) func(*policy.Input) policy.Decision {
	return func(*policy.Input) policy.Decision { return policy.Decision{Allow: true, Obligations: o} }
}

func TestArgumentsAreSetAndClamped(t *testing.T) {
	tenant := policy.Set{Path: "/tenant_id", Value: []byte(`"acme"`)}
	for _, c := range []struct {
		name, args string
		set        []policy.Set
		clamp      []policy.Clamp
		want       string // "" for a refusal
	}{
		{name: "another tenant's id is replaced", args: `{ "tenant_id":"evil","q":1}`, set: []policy.Set{tenant}, want: `{ "tenant_id":"acme","q":1}`},
		{name: "a missing one is added", args: `{"q":1}`, set: []policy.Set{tenant}, want: `{"q":1,"tenant_id":"acme"}`},
		{name: "no arguments at all", set: []policy.Set{tenant}, want: `{"tenant_id":"acme"}`},
		{name: "deeper than anything that is there", args: `{"a":{}}`, set: []policy.Set{{Path: "/a/b/c", Value: []byte(`1`)}, {Path: "/a/b/d", Value: []byte(`2`)}}, want: `{"a":{"b":{"c":1,"d":2}}}`},
		{name: "the later of two values", args: `{}`, set: []policy.Set{tenant, {Path: "/tenant_id", Value: []byte(`"b"`)}}, want: `{"tenant_id":"b"}`},
		{name: "arguments that are a list have no place for it", args: `[]`, set: []policy.Set{tenant}},
		{name: "a text where an object has to be", args: `{"a":"x"}`, set: []policy.Set{{Path: "/a/b", Value: []byte(`1`)}}},
		{name: "too many", args: `{"limit":500}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100)}}, want: `{"limit":100}`},
		{name: "more than a number can hold", args: `{"limit":1e999}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100)}}, want: `{"limit":100}`},
		{name: "too few", args: `{"limit":-1}`, clamp: []policy.Clamp{{Path: "/limit", Min: bound(0), Max: bound(100)}}, want: `{"limit":0}`},
		{name: "within bounds stays as written", args: `{"limit":1.0e1}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100)}}, want: `{"limit":1.0e1}`},
		{name: "none given, and a default", args: `{}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100), Default: bound(50)}}, want: `{"limit":50}`},
		{name: "null is none", args: `{"limit":null}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100), Default: bound(50)}}, want: `{"limit":50}`},
		{name: "another spelling beside what is set", args: `{"tenant_id":"evil","Tenant_ID":"evil"}`, set: []policy.Set{tenant}},
		{name: "another spelling instead of what is set", args: `{"TENANT_ID":"evil"}`, set: []policy.Set{tenant}},
		{name: "another spelling by escapes and odd letters", args: `{"tenant_\u0049d":"evil"}`, set: []policy.Set{tenant}},
		{name: "another spelling on the way", args: `{"a":{},"A":{"b":2}}`, set: []policy.Set{{Path: "/a/b", Value: []byte(`1`)}}},
		{name: "another spelling elsewhere", args: `{"x":{"Tenant_ID":"b"}}`, set: []policy.Set{tenant}, want: `{"x":{"Tenant_ID":"b"},"tenant_id":"acme"}`},
		{name: "another spelling beside what is bounded", args: `{"limit":1,"LIMIT":500}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100)}}},
		{name: "a text instead of a number", args: `{"limit":"500"}`, clamp: []policy.Clamp{{Path: "/limit", Max: bound(100)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := call(t, "find", c.args)
			d := chain(t, &rules{access: yes, call: obliged(policy.Obligations{Set: c.set, Clamp: c.clamp})}, true).Run(context.Background(), exchange(mcp.R20251125, m), m)
			if c.want == "" {
				if d.Reason != policy.ArgumentNotAllowed {
					t.Errorf("got %v %s", d, d.Message.Params)
				}
				return
			}
			wants(t, string(d.Message.Params), `"arguments":`+c.want+`}`)
		})
	}
}

func TestConditionsThatCannotBeKeptRefuse(t *testing.T) {
	set := policy.Obligations{Set: []policy.Set{{Path: "/a", Value: []byte("1")}}}
	list := message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`)
	ask := message(t, mcp.ToClient, `{"jsonrpc":"2.0","id":7,"method":"roots/list"}`)
	for name, c := range map[string]struct {
		m    *mcp.Message
		o    policy.Obligations
		want guard.Reason
	}{
		"arguments of a method that has none": {list, set, guard.GuardError},
		"a server's request":                  {ask, policy.Obligations{Constrain: []byte(`{}`)}, guard.GuardError},
		"an approval":                         {call(t, "pay", "{}"), policy.Obligations{Approval: "Ask finance."}, policy.ApprovalRequired},
		"a mask although none was announced":  {call(t, "pay", "{}"), policy.Obligations{Mask: []policy.Mask{{Path: "/a"}}}, guard.GuardError},
		"a constraint nobody signs":           {call(t, "pay", "{}"), policy.Obligations{Constrain: []byte(`{}`)}, guard.GuardError},
	} {
		d := chain(t, &rules{access: yes, call: obliged(c.o)}, true).Run(context.Background(), exchange(mcp.R20251125, c.m), c.m)
		if d.Action == guard.Allow || d.Reason != c.want {
			t.Errorf("%s: got %v", name, d)
		}
	}
}

func TestLabelsGoToTheExchange(t *testing.T) {
	m := call(t, "pay", "{}")
	x := exchange(mcp.R20251125, m)
	chain(t, &rules{access: obliged(policy.Obligations{Labels: []string{"finance"}}), call: obliged(policy.Obligations{Labels: []string{"write"}})}, true).Run(context.Background(), x, m)
	if got := strings.Join(x.Labels(), " "); got != "finance write" {
		t.Errorf("got %q", got)
	}
}

func TestResultsAreMaskedWhereverTheyRepeatThemselves(t *testing.T) {
	mask := func(paths ...string) (o policy.Obligations) {
		for _, p := range paths {
			o.Mask = append(o.Mask, policy.Mask{Path: p})
		}
		return o
	}
	const held = `[withheld: text in which the policy's masks cannot be applied]`
	for _, c := range []struct {
		name     string
		o        policy.Obligations
		in, want string
	}{
		{"one field", mask("/structuredContent/ssn"), `{"structuredContent":{"ssn":"1","n":2}}`, `{"structuredContent":{"ssn":"[masked]","n":2}}`},
		{"of every row", mask("/structuredContent/rows/*/ssn"), `{"structuredContent":{"rows":[{"ssn":"1"},{"ssn":{"a":1,"b":["2"]}},{}]}}`, `{"structuredContent":{"rows":[{"ssn":"[masked]"},{"ssn":{"a":"[masked]","b":["[masked]"]}},{}]}}`},
		{"a name that needs escapes", mask("/structuredContent/a~1b"), `{"structuredContent":{"a\/b":"1"}}`, `{"structuredContent":{"a\/b":"[masked]"}}`},
		{"with a value of its own", policy.Obligations{Mask: []policy.Mask{{Path: "/structuredContent/ssn", With: []byte("null")}}}, `{"structuredContent":{"ssn":"1"}}`, `{"structuredContent":{"ssn":null}}`},
		{"the copy in a text block", mask("/structuredContent/ssn"), `{"content":[{"type":"text","text":"{\"ssn\":\"1\"}"}],"structuredContent":{"ssn":"1"}}`, `{"content":[{"type":"text","text":"{\"ssn\":\"[masked]\"}"}],"structuredContent":{"ssn":"[masked]"}}`},
		{"a copy without the field", mask("/structuredContent/ssn"), `{"content":[{"type":"text","text":"{\"n\":1}"}]}`, `{"content":[{"type":"text","text":"{\"n\":1}"}]}`},
		{"prose", mask("/structuredContent/ssn"), `{"content":[{"type":"text","text":"her number is 1"}]}`, `{"content":[{"type":"text","text":"` + held + `"}]}`},
		{"a doubled key in the copy", mask("/structuredContent/ssn"), `{"content":[{"type":"text","text":"{\"ssn\":\"1\",\"ssn\":\"2\"}"}]}`, `{"content":[{"type":"text","text":"` + held + `"}]}`},
		{"a copy that closes the object around it", mask("/structuredContent/ssn"), `{"content":[{"type":"text","text":"{}},\"x\":{\"y\":{\"ssn\":\"1\"}"}]}`, `{"content":[{"type":"text","text":"` + held + `"}]}`},
		{"an embedded resource", mask("/structuredContent/ssn"), `{"content":[{"type":"resource","resource":{"uri":"a:b","blob":"c3Nu"}},{"type":"resource","resource":{"uri":"a:b","text":"ssn 1"}}]}`, `{"content":[{"type":"resource","resource":{"uri":"a:b","blob":""}},{"type":"resource","resource":{"uri":"a:b","text":"` + held + `"}}]}`},
		{"only so many rows", policy.Obligations{Cap: []policy.Cap{{Path: "/structuredContent/rows", Items: 2}}}, `{"structuredContent":{"rows":[1, 2 ,3,4]}}`, `{"structuredContent":{"rows":[1, 2]}}`},
		{"no rows", policy.Obligations{Cap: []policy.Cap{{Path: "/structuredContent/rows", Items: 0}}}, `{"structuredContent":{"rows":[1]}}`, `{"structuredContent":{"rows":[]}}`},
		{"masked rows, capped", policy.Obligations{Mask: []policy.Mask{{Path: "/structuredContent/rows/*/a"}}, Cap: []policy.Cap{{Path: "/structuredContent/rows", Items: 1}}}, `{"content":[{"type":"text","text":"{\"rows\":[{\"a\":1},{\"a\":2}]}"}],"structuredContent":{"rows":[{"a":1},{"a":2}]}}`, `{"content":[{"type":"text","text":"{\"rows\":[{\"a\":\"[masked]\"}]}"}],"structuredContent":{"rows":[{"a":"[masked]"}]}}`},
		{"fewer rows than allowed", policy.Obligations{Cap: []policy.Cap{{Path: "/structuredContent/rows", Items: 2}}}, `{"structuredContent":{"rows":[1]}}`, `{"structuredContent":{"rows":[1]}}`},
		{"the text of a resource", mask("/contents/*/text"), `{"contents":[{"uri":"a:b","text":"x"}]}`, `{"contents":[{"uri":"a:b","text":"[masked]"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := call(t, "find", "{}")
			x := exchange(mcp.R20251125, m)
			ch := chain(t, &rules{access: yes, call: obliged(c.o), masks: true}, true)
			if d := ch.Run(context.Background(), x, m); d.Action != guard.Allow {
				t.Fatal(d)
			}
			if d := ch.Run(context.Background(), x, result(t, c.in)); string(d.Message.Result) != c.want {
				t.Errorf("got %v\n%s, want\n%s", d.Detail, d.Message.Result, c.want)
			}
		})
	}
}

func TestResultsOfForgottenCallsAreWithheldWherePoliciesMask(t *testing.T) {
	late := exchange(mcp.R20251125, nil)
	late.Asked = guard.Asked{Kind: mcp.Transport, Method: mcp.MethodListen}
	for name, x := range map[string]*guard.Exchange{"a resumed stream": late, "the result of a task": asking(mcp.R20251125, "tasks/result"),
		"a task that is updated": asking(mcp.R20260728, "tasks/update")} {
		r := &rules{access: yes, masks: true}
		m := result(t, `{"content":[],"structuredContent":{"ssn":"1"}}`)
		if d := chain(t, r, true).Run(context.Background(), x, m); d.Reason != policy.PolicyDenied {
			t.Errorf("%s: got %v", name, d)
		}
		r.masks = false
		if d := chain(t, r, true).Run(context.Background(), x, m); d.Action != guard.Allow {
			t.Errorf("%s, no masks: got %v", name, d)
		}
	}
}

// MCP 2026-07-28 tells of a task's end with its whole result, which tasks/get would not show.
func TestAnEventDoesNotTellTheMaskedResultOfATask(t *testing.T) {
	x := exchange(mcp.R20260728, nil)
	x.Asked = guard.Asked{Kind: mcp.Request, Method: "subscriptions/listen"}
	for params, masked := range map[string]guard.Action{
		`{"taskId":"T","status":"completed","result":{"content":[],"structuredContent":{"ssn":"1"}}}`: guard.Deny,
		`{"taskId":"T","status":"working"}`: guard.Allow,
	} {
		r := &rules{access: yes, call: yes, masks: true}
		m := message(t, mcp.ToClient, `{"jsonrpc":"2.0","method":"notifications/tasks","params":`+params+`}`)
		if d := chain(t, r, true).Run(context.Background(), x, m); d.Action != masked {
			t.Errorf("%s: got %v", params, d)
		}
		r.masks = false
		if d := chain(t, r, true).Run(context.Background(), x, m); d.Action != guard.Allow {
			t.Errorf("%s, no masks: got %v", params, d)
		}
	}
}
